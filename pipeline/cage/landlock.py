"""Landlock: a process gives up all of the file system but a few places, TCP, and other processes.

Source: Landlock's userspace API (Linux, `Documentation/userspace-api/landlock.rst`). Versions of
the interface: 1 has files, 4 has TCP, 6 has signals and abstract sockets.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.cage.linux import syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every processor
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
"""Every right on files by version; the right to send commands to a device (5) stays, for GPUs."""
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_TCP = 0b11  # bind and connect
_OTHERS = 0b11  # abstract sockets and signals
TCP_SINCE, SIGNALS_SINCE = 4, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a process keeps: places to list the names in, to read, to run programs from, and to
    write; each with all below.

    Without `files` the file system stays open as it is, without `tcp` TCP, and without `signals`
    the signals and the abstract sockets of other processes.
    """

    files: bool = True
    tcp: bool = True
    signals: bool = True
    lists: tuple[Path, ...] = ()
    reads: tuple[Path, ...] = ()
    runs: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()


def version() -> int:
    """The version of Landlock's interface that this kernel has; 0 for none."""
    try:
        return syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    except OSError:
        return 0


def restrict(rules: Rules, has: int) -> None:
    """Leaves this thread, and all it starts from now on, only what the rules say.

    `has` is the kernel's version of the interface; what it lacks must be off in the rules. The
    process must have given up new privileges. Places that do not exist are left out.

    Raises:
        OSError: the kernel refuses it.
    """
    every = _ALL_FILES[min(has, 3)] if rules.files else 0
    wanted = _Ruleset(every, _TCP if rules.tcp else 0, _OTHERS if rules.signals else 0)
    size = 24 if has >= SIGNALS_SINCE else 16 if has >= TCP_SINCE else 8
    ruleset = syscall(_CREATE, ctypes.byref(wanted), ctypes.c_size_t(size), 0)
    try:
        if rules.files:
            read = _READ_FILE | _READ_DIR
            _allow(ruleset, rules.lists, _READ_DIR)
            _allow(ruleset, rules.reads, read)
            _allow(ruleset, rules.runs, read | _EXECUTE)
            _allow(ruleset, rules.writes, every & ~_EXECUTE)
        syscall(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, places: Iterable[Path], rights: int) -> None:
    for place in places:
        try:
            opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # what cannot be opened needs no rule
        try:
            is_folder = place.is_dir()
            rule = _PathBeneath(rights if is_folder else rights & _OF_A_FILE, opened)
            syscall(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(opened)
