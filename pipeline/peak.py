"""The largest memory that this process has used so far."""

from __future__ import annotations

import sys

import psutil

if sys.platform != "win32":
    import resource


def peak_rss_mb() -> float:
    """The largest resident memory of this process so far, in MiB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
