"""A filter of system calls: no sockets, no programs, no processes, no parts of the kernel that only
attackers need. Threads, files and memory stay.

The calls are named by their numbers on each processor, because the library that knows them all
(libseccomp) is no Python package and is missing from small containers.

Source: seccomp's userspace API (Linux, `Documentation/userspace-api/seccomp_filter.rst`).
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.cage.linux import prctl

_SET_SECCOMP, _FILTER_MODE = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # in what a filter is shown
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_THREAD = 0x00010000  # a flag of `clone`
_OF_ANOTHER_KIND = 0x40000000  # from here on, numbers of the 32-bit calls of x86-64

_NEWER = {  # the same numbers on every processor
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}


@dataclass(frozen=True, kw_only=True)
class Processor:
    """The name of a processor's calls in the kernel, and the numbers of those that are refused.

    `clone` is allowed for threads; `clone3`, whose flags a filter cannot see, is said to be
    missing, whereupon the C library uses `clone`.
    """

    architecture: int
    clone: int
    refused: dict[str, int]
    clone3: int = 435


PROCESSORS = {
    "x86_64": Processor(
        architecture=0xC000003E,
        clone=56,
        refused={
            "socket": 41,
            "connect": 42,
            "bind": 49,
            "listen": 50,
            "fork": 57,
            "vfork": 58,
            "execve": 59,
            "ptrace": 101,
            "pivot_root": 155,
            "chroot": 161,
            "mount": 165,
            "umount2": 166,
            "init_module": 175,
            "delete_module": 176,
            "kexec_load": 246,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "unshare": 272,
            "perf_event_open": 298,
            "name_to_handle_at": 303,
            "open_by_handle_at": 304,
            "setns": 308,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "kcmp": 312,
            "finit_module": 313,
            "kexec_file_load": 320,
            "bpf": 321,
            "execveat": 322,
            "userfaultfd": 323,
            **_NEWER,
        },
    ),
    "aarch64": Processor(
        architecture=0xC00000B7,
        clone=220,
        refused={
            "umount2": 39,
            "mount": 40,
            "pivot_root": 41,
            "chroot": 51,
            "unshare": 97,
            "kexec_load": 104,
            "init_module": 105,
            "delete_module": 106,
            "ptrace": 117,
            "socket": 198,
            "bind": 200,
            "listen": 201,
            "connect": 203,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "execve": 221,
            "perf_event_open": 241,
            "name_to_handle_at": 264,
            "open_by_handle_at": 265,
            "setns": 268,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "kcmp": 272,
            "finit_module": 273,
            "bpf": 280,
            "execveat": 281,
            "userfaultfd": 282,
            "kexec_file_load": 294,
            **_NEWER,
        },
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict(processor: str) -> None:
    """Refuses such calls to this thread, and to all it starts from now on.

    The process must have given up new privileges.

    Raises:
        OSError: the kernel refuses it, or the processor is not known here.
    """
    if processor not in PROCESSORS:
        raise OSError(0, f"not known for the processor {processor}")
    instructions = b"".join(_instructions(PROCESSORS[processor]))
    program = _Program(len(instructions) // 8, instructions)
    prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(program))


def _instructions(processor: Processor) -> Iterator[bytes]:
    """The filter, in the order in which the kernel runs it; a jump skips instructions."""
    refuse = _instruction(_RETURN, _ERROR | errno.EPERM)
    yield _instruction(_LOAD, _ARCHITECTURE_AT)
    yield _instruction(_EQUAL, processor.architecture, if_true=1)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD, _NUMBER_AT)
    yield _instruction(_AT_LEAST, _OF_ANOTHER_KIND, if_false=1)
    yield refuse
    yield _instruction(_EQUAL, processor.clone3, if_false=1)
    yield _instruction(_RETURN, _ERROR | errno.ENOSYS)
    for number in processor.refused.values():
        yield _instruction(_EQUAL, number, if_false=1)
        yield refuse
    yield _instruction(_EQUAL, processor.clone, if_false=3)
    yield _instruction(_LOAD, _FIRST_ARGUMENT_AT)
    yield _instruction(_ANY_BIT, _THREAD, if_true=1)
    yield refuse
    yield _instruction(_RETURN, _ALLOW)


def _instruction(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
