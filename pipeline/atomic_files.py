"""Files that exist whole or not at all: written as a draft beside their place, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def write_text(path: Path, text: str) -> Path:
    """Writes a text into an existing folder, in one step, and returns its path."""
    return write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> Path:
    """Writes bytes into an existing folder, in one step, and returns their path.

    Raises:
        OSError: nothing can be written there; it names the place, as the system does not for all.
    """
    draft = path.with_suffix(".draft")
    try:
        draft.write_bytes(content)
        return draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_texts(texts: Mapping[str, str], folder: Path) -> None:
    """Writes texts, by name, into an existing folder, each in one step."""
    for name, text in texts.items():
        write_text(folder / name, text)


def place_secret(path: Path, content: bytes) -> None:
    """Writes bytes for their owner alone (mode 0600) to a name that must be free, in one step.

    Raises:
        OSError: the name is taken, or nothing can be written there.
    """
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.link(draft, path)
    finally:
        Path(draft).unlink()
