"""Where secrets lie on most machines: what code that somebody trusts still need not read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

_OF_A_USER = (
    *(".ssh", ".gnupg", ".netrc", ".pypirc", ".git-credentials", ".password-store", ".pki"),
    *(".aws", ".azure", ".kube", ".docker", ".databrickscfg", ".mlflow/credentials", ".config"),
    *(".local/share/keyrings", ".cache/huggingface/token", ".cache/huggingface/stored_tokens"),
    *(".cache/ban-gate", ".local/share/ban-gate", ".local/state/ban-gate"),
)
_OF_A_MACHINE = (
    *("/run/secrets", "/var/run/secrets", "/etc/shadow", "/etc/gshadow"),
    *("/etc/ssh", "/etc/ssl/private"),
)
_OWN_HOME = "BAN_GATE_HOME"
_FOLDERS = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
_OF_SECRETS = re.compile("KEY|TOKEN|SECRET|CREDENTIAL|PASSW|NETRC|KUBECONFIG", re.IGNORECASE)
"""Names of variables that may point to a file of secrets."""


def known(environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """The places that exist, resolved: the usual ones, and files that a variable points to."""
    named = (Path(value) for name, value in environment.items() if _OF_SECRETS.search(name))
    files = (path for path in named if path.is_absolute() and _is_file(path))
    own = [Path(environment[_OWN_HOME]).expanduser()] if environment.get(_OWN_HOME) else []
    own += [Path(environment[name], "ban-gate") for name in _FOLDERS if environment.get(name)]
    usual = (*map(Path, _OF_A_MACHINE), *(home / each for each in _OF_A_USER), *own)
    return tuple(sorted({path.resolve() for path in (*usual, *files) if path.exists()}))


def around(hidden: Collection[Path], folder: Path = Path("/")) -> Iterator[Path]:
    """Places that together hold everything in a folder but what is hidden.

    Links are left out, because what they point to is a place by itself or is hidden.
    """
    inside = [path for path in hidden if path.is_relative_to(folder)]
    if not inside:
        yield folder
    elif folder not in inside:
        for each in _entries(folder):
            yield from around(inside, each)


def _entries(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if not each.is_symlink()]
    except OSError:  # nobody gets in there
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no path, for example too long
        return False
