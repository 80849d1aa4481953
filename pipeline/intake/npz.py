"""Whether an `.npz` file of somebody else's can be read within a stated number of bytes.

A small file may hold enormous arrays, by compression or by what its headers claim. So the sizes in
the archive's directory and in the headers of the arrays are looked at before anything is unpacked.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import BinaryIO, cast

from numpy.lib import format as npy

from stages.zip_names import names_in

LARGEST = 2 * 1024**3
"""Bytes that the arrays of a samples file may take together."""
SUFFIX = ".npy"


class TooLargeError(ValueError):
    """Arrays that take more bytes than allowed."""


def require_within(path: Path, names: Collection[str], largest: int) -> None:
    """Raises unless the members of these names are arrays that take `largest` bytes together.

    Raises:
        TooLargeError: they take more.
        ValueError: one is no array of numbers, or is not as long as its header says.
        KeyError: one is not there.
        zipfile.BadZipFile: the file is damaged, or holds too many members.
    """
    names_in(path)  # within limits, which `ZipFile` has none of
    with zipfile.ZipFile(path) as archive:
        total = sum(archive.getinfo(name).file_size for name in names)
        if total > largest:
            raise TooLargeError(f"they take {total:,} bytes unpacked, expected {largest:,} at most")
        for name in names:
            with archive.open(name) as opened:
                _require_true(cast("BinaryIO", opened), name, archive.getinfo(name).file_size)


def _require_true(opened: BinaryIO, name: str, size: int) -> None:
    """Raises unless the header of an array claims as many bytes as there are."""
    version = npy.read_magic(opened)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} has version {version} of the format, expected 1.0 or 2.0")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, kind = read(opened)
    if kind.hasobject:
        raise ValueError(f"{name} holds Python objects")
    claimed = opened.tell() + prod(shape) * kind.itemsize
    if min(shape, default=0) < 0 or claimed != size:
        raise ValueError(f"{name} has {size:,} bytes, but its header claims {claimed:,}")
