"""What every Python process reads: itself, its packages, the system's libraries and settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/passwd"),
    *("/etc/nsswitch.conf", "/etc/alternatives", "/proc/self", "/proc/cpuinfo", "/proc/meminfo"),
    *("/proc/stat", "/proc/sys/vm", "/proc/sys/kernel", "/sys/devices/system", "/sys/fs/cgroup"),
    *("/dev/urandom", "/dev/random", "/dev/zero"),
)
_WRITTEN = ("/dev/null",)
_PACKAGES = ("site-packages", "dist-packages")


def readable() -> tuple[Path, ...]:
    """Places that a Python process needs to read, and that hold no secret."""
    return (*map(Path, _SYSTEM), *_of_python())


def writable() -> tuple[Path, ...]:
    """Places that a process may write to whatever it is for."""
    return tuple(map(Path, _WRITTEN))


def _of_python() -> Iterator[Path]:
    """The interpreter, folders of packages, and the packages that were imported from elsewhere."""
    yield from (Path(each) for each in {sys.prefix, sys.base_prefix, sys.exec_prefix})
    yield from (Path(each) for each in sys.path if Path(each).name in _PACKAGES)
    for name, module in tuple(sys.modules.items()):
        if "." not in name and name != "__main__":
            file = getattr(module, "__file__", None)
            yield from map(Path, getattr(module, "__path__", [file] if file else []))
