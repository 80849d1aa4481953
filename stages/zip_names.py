"""The names of the members of a zip archive, read within limits."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

LARGEST_DIRECTORY = 8 * 1024**2
"""Bytes; PyTorch writes about a hundred for each tensor."""


class _Bounded(io.FileIO):
    """A file of which only so much is ever read."""

    left = LARGEST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes.

        Raises:
            zipfile.BadZipFile: they are more than what is left to be read.
        """
        most = self.left + 1
        found = super().read(most if size is None or size < 0 else min(size, most))
        self.left -= len(found)
        if self.left < 0:
            raise zipfile.BadZipFile(f"its directory has more than {LARGEST_DIRECTORY} bytes")
        return found


def names_in(path: Path) -> list[str]:
    """The names of the members of an archive.

    Raises:
        zipfile.BadZipFile: it is none, or its directory is too large.
        OSError: the file cannot be read.
    """
    with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
        return archive.namelist()
