"""Memory that is freed and taken again with every step, kept by the process meanwhile.

glibc gives each large block back to the system when it is freed. The activations of a large image
are such blocks, so every layer of every step would have its memory taken, emptied page by page and
given back: half of the time that a scan of a net for 224 pixels takes.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from psutil import Process

# parameters of mallopt(3), by their numbers in malloc.h
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
KEEPING = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * 2**20}
"""No block of its own for anything, and as much kept free at the heap's end as an int can say."""
USUAL = {MMAP_MAX: 65536, TRIM_THRESHOLD: 128 * 1024, TOP_PAD: 0}
"""What they are unless set."""
MUCH = 2 * 2**30
"""Bytes of a process from which memory matters more than the second that it takes to get it again.
"""


@contextmanager
def kept_memory() -> Iterator[None]:
    """What is freed meanwhile is taken again rather than given back; afterwards all is given back.

    Nothing is computed otherwise. Where the C library is another than glibc it does nothing.
    """
    library = _glibc()
    if library is None:
        yield
        return
    try:
        for parameter, value in KEEPING.items():
            library.mallopt(parameter, value)
        yield
    finally:
        for parameter, value in USUAL.items():
            library.mallopt(parameter, value)
        library.malloc_trim(0)


def give_back(least: int = MUCH) -> None:
    """Gives what is free now back to the system, also while memory is kept, if the process holds
    `least` bytes: between two steps whose blocks are of other sizes, so that what one left does not
    add to what the next one takes.
    """
    library = _glibc()
    if library is not None and Process().memory_info().rss >= least:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None
