"""What a process may do beyond other processes of its user: given up, and never got back."""

from __future__ import annotations

import ctypes
import signal

from pipeline.cage.linux import prctl, syscall

_DEATH_SIGNAL, _NO_NEW_PRIVILEGES, _SUBREAPER, _AMBIENT = 1, 38, 36, 47
_CLEAR_ALL = 4
_CAPGET_CAPSET = {"x86_64": (125, 126), "aarch64": (90, 91)}
_CAPABILITIES_3 = 0x20080522
_ANY_FILE = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def end_with_parent(how: signal.Signals = signal.SIGKILL) -> None:
    """Has the kernel send this process a signal when the one that started it ends.

    Raises:
        OSError: the kernel refuses it.
    """
    prctl(_DEATH_SIGNAL, how)


def adopt_orphans() -> None:
    """Makes this process the parent of whatever its children leave behind.

    Raises:
        OSError: the kernel refuses it.
    """
    prctl(_SUBREAPER, 1)


def gain_none() -> None:
    """Lets no program that is run from here on have more rights than this process.

    Raises:
        OSError: the kernel refuses it.
    """
    prctl(_NO_NEW_PRIVILEGES, 1)


def drop_capabilities(processor: str, *, keep_files: bool) -> None:
    """Gives up what root may do; with `keep_files` all but to read and write files of others.

    Raises:
        OSError: the kernel refuses it, or the processor is not known here.
    """
    if processor not in _CAPGET_CAPSET:
        raise OSError(0, f"not known for the processor {processor}")
    get, set_ = _CAPGET_CAPSET[processor]
    header, sets = _Header(_CAPABILITIES_3, 0), (_Sets * 2)()
    syscall(get, ctypes.byref(header), ctypes.byref(sets))
    kept = sets[0].permitted & _ANY_FILE if keep_files else 0
    prctl(_AMBIENT, _CLEAR_ALL)
    syscall(set_, ctypes.byref(header), ctypes.byref((_Sets * 2)(_Sets(kept, kept, 0))))
