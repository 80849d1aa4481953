"""Reads a file of a limited size."""

from __future__ import annotations

from pathlib import Path


def read_small(path: Path, limit: int) -> bytes:
    """The bytes of a plain file.

    Raises:
        OSError: it is missing, no plain file, or has more than `limit` bytes.
    """
    if not path.is_file():  # a pipe would block for ever
        raise OSError("there is no such file")
    if path.stat().st_size > limit:
        raise OSError(f"it has more than {limit} bytes")
    return path.read_bytes()
