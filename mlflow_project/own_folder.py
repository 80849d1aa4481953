"""One folder for the temporary files of a process, which does not outlive it for long.

Whatever a killed process left is removed at the next start: its folder is locked as long as it
lives, and a lock ends with its process.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from mlflow_project.errors import DiskFull

PREFIX = "ban-gate-process-"
LOCK = "alive.lock"


@contextmanager
def own_folder() -> Iterator[Path]:
    """Lets all temporary files of this process, and of its children, lie in one new folder.

    It is gone afterwards, and so are the folders of processes that were killed.

    Raises:
        DiskFull: no folder can be made where temporary files go.
    """
    before = (tempfile.tempdir, os.environ.get("TMPDIR"))
    folder, lock = _made()
    try:
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        yield folder
    finally:
        tempfile.tempdir = before[0]
        _restore(before[1])
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _made() -> tuple[Path, BaseFileLock]:
    try:
        root = Path(tempfile.gettempdir())
        sweep(root)
        return _locked_folder(root)
    except OSError as error:
        place = error.filename or os.environ.get("TMPDIR") or "the folder of temporary files"
        raise DiskFull(
            f"`{place}` cannot be written ({error.strerror or error}); free space there, or name"
            " another folder by `TMPDIR`"
        ) from error


def sweep(root: Path) -> None:
    """Removes the folders in `root` whose processes are dead, if they are this user's.

    One without a lock was removed, and something that was late has written to it since.
    """
    for folder in root.glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):
            if _is_ours(folder):
                held = FileLock(folder / LOCK, timeout=0) if (folder / LOCK).exists() else None
                with held or nullcontext():
                    shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(root: Path) -> tuple[Path, BaseFileLock]:
    """A new folder that never has its name without being locked."""
    draft = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=root))
    lock = FileLock(draft / LOCK)
    lock.acquire()
    return draft.rename(root / draft.name.removeprefix(".")), lock


def _is_ours(folder: Path) -> bool:
    return not folder.is_symlink() and (os.name == "nt" or folder.stat().st_uid == os.getuid())


def _restore(variable: str | None) -> None:
    if variable is None:
        os.environ.pop("TMPDIR", None)
    else:
        os.environ["TMPDIR"] = variable
