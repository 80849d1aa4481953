"""Bounds on what one process may use up."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Wall time in seconds, and MiB of memory beyond what the process has; None bounds no memory.

    No file it writes may be larger than this memory either.
    """

    seconds: float
    memory_mb: int | None


def apply(limits: Limits) -> None:
    """Bounds this process, and what it starts.

    The time is that of the processors, and as much as all of them can give in the wall time.

    Raises:
        OSError: the kernel refuses it.
    """
    import resource  # noqa: PLC0415 (not on every system)

    seconds = math.ceil(limits.seconds * (os.cpu_count() or 1)) + 1
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, seconds)
    if limits.memory_mb is not None:
        _lower(resource.RLIMIT_FSIZE, limits.memory_mb * 1024**2)
        if sys.platform == "linux":
            _lower(resource.RLIMIT_DATA, _held() + limits.memory_mb * 1024**2)


def _lower(which: int, value: int) -> None:
    """Sets a limit for good, unless it is lower already."""
    import resource  # noqa: PLC0415 (not on every system)

    _, hard = resource.getrlimit(which)
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(which, (least, least))
    except ValueError as error:
        raise OSError(0, str(error)) from error


def _held() -> int:
    """Bytes of private memory that this process has."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (held,) = (line for line in status.splitlines() if line.startswith("VmData:"))
    return int(held.split()[1]) * 1024
