"""System calls that Python has no function for."""

from __future__ import annotations

import ctypes
import os
import sys

IS_LINUX = sys.platform == "linux"
_LIBC = ctypes.CDLL(None, use_errno=True) if IS_LINUX else None


def syscall(number: int, *args: object) -> int:
    """The result of a system call.

    Raises:
        OSError: the kernel refuses it.
    """
    return _checked("syscall", number, *args)


def prctl(option: int, *args: int) -> int:
    """The result of `prctl`, which sets a property of the calling process.

    Raises:
        OSError: the kernel refuses it.
    """
    filled = (*args, 0, 0, 0, 0)[:4]
    return _checked("prctl", option, *map(ctypes.c_ulong, filled))


def unshare(flags: int) -> None:
    """Gives the calling process namespaces of its own.

    Raises:
        OSError: the kernel refuses it.
    """
    _checked("unshare", flags)


def set_namespace(descriptor: int, kind: int) -> None:
    """Moves the calling process, or its children to be, into a namespace.

    Raises:
        OSError: the kernel refuses it.
    """
    _checked("setns", descriptor, kind)


def _checked(name: str, *args: object) -> int:
    if _LIBC is None:
        raise OSError(0, "only Linux has it")
    found = int(getattr(_LIBC, name)(*args))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found
