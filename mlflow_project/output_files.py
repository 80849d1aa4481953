"""Where a command writes: tried before the work begins, and filled in one step."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from stages.errors import ConfigError


def prepare_output(folder: Path) -> None:
    """Makes the folder and tries to write there, so that no scan ends without a place to go.

    Raises:
        ConfigError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigError(
            f"output `{folder}` cannot be written ({error}); choose a writable folder"
        ) from error


def put(file: Path, target: Path) -> None:
    """Moves the file to its place in one step, also across file systems.

    Raises:
        ConfigError: nothing can be written there.
    """
    draft = target.with_name(f".{target.name}.draft")
    try:
        shutil.copyfile(file, draft)
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(
            f"output `{target}` cannot be written ({error.strerror}); choose a writable folder"
        ) from error
