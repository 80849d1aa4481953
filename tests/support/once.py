"""Keeps what is slow to make for the whole run, so that only one of its processes makes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from tests.support.shared_run import FOLDER


def made(name: str, make: Callable[[], bytes]) -> bytes:
    """The bytes that `make` returns, which must be the same in every process.

    Outside a run, as in a benchmark, nothing is kept.
    """
    folder = os.environ.get(FOLDER)
    if folder is None:
        return make()
    path, draft = Path(folder) / name, Path(folder) / f"{name}.draft"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            draft.write_bytes(make())
            draft.rename(path)
    return path.read_bytes()
