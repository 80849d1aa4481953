"""Where ban-gate keeps what it remembers between two calls: keys, data and the cache apart.

Who may write to the cache, such as a CI job that restores it, has no business with the keys.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import platformdirs

from pipeline.atomic_files import place_secret
from stages.errors import ConfigError

HOME_VARIABLE = "BAN_GATE_HOME"
NAME = "ban-gate"
FORMER = "~/.cache/ban-gate"
"""Where keys and queue were beside the cache, unless `BAN_GATE_HOME` named a folder."""
CACHE, SECRET = "cache", "cache-secret"
SECRET_BYTES = 32

logger = logging.getLogger(__name__)


def key_folder() -> Path:
    """Where keys and secrets are: `BAN_GATE_HOME`, else the user's folder of settings."""
    return _given() or _own(platformdirs.user_config_path)


def data_folder() -> Path:
    """Where the listener's queue is: `BAN_GATE_HOME`, else the user's folder of data."""
    return _given() or _own(platformdirs.user_data_path)


def cache_folder() -> Path:
    """Where results are kept: `cache` in `BAN_GATE_HOME`, else the user's cache."""
    given = _given()
    return given / CACHE if given else _own(platformdirs.user_cache_path)


def moved_here(path: Path, *companions: Path) -> Path:
    """The path; a file of that name that still lies beside the cache is moved there first, and the
    `companions` with it.

    Raises:
        ConfigError: it cannot be moved.
    """
    former = Path(os.path.expanduser(FORMER))  # noqa: PTH111 (`Path` raises without a home)
    if _given() or path.exists() or not (former / path.name).is_file():
        return path
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in (path, *companions):
            if (former / each.name).is_file():
                (former / each.name).rename(each)
    except OSError as error:
        raise ConfigError(
            f"`{former / path.name}` cannot be moved to `{path}` ({error.strerror}); move it there"
        ) from error
    logger.warning("moved %s from %s to %s", path.name, former, path.parent)
    return path


def cache_secret() -> bytes | None:
    """The secret that marks kept results as this user's own, made once; None if it cannot be had.

    It lies beside the keys, for its owner alone.
    """
    path = key_folder() / SECRET
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            place_secret(path, secrets.token_bytes(SECRET_BYTES))
    except OSError as error:
        if not path.exists():  # else another process was faster
            logger.warning("no results are kept or reused: `%s` cannot be made (%s)", path, error)
            return None
    return _read(path)


def _read(path: Path) -> bytes | None:
    try:
        secret = path.read_bytes()
    except OSError as error:
        logger.warning("no results are kept or reused: `%s` cannot be read (%s)", path, error)
        return None
    if len(secret) != SECRET_BYTES:
        logger.warning("no results are kept or reused: `%s` is no secret; delete it", path)
        return None
    return secret


def _own(place: Callable[..., Path]) -> Path:
    """The user's own folder of a kind."""
    try:
        path = place(NAME, appauthor=False)
    except RuntimeError:  # of `Path.home`
        path = Path()
    if not path.is_absolute():
        raise ConfigError(
            f"this user has no home folder; set `{HOME_VARIABLE}` to a folder where ban-gate may"
            " keep keys and results"
        )
    return path


def _given() -> Path | None:
    given = os.environ.get(HOME_VARIABLE)
    return Path(given).expanduser() if given else None
