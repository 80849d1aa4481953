"""Namespaces: a network without any address, and processes that see none outside their own.

Root makes them as it is. Others make them inside a user namespace, in which they stay who they are.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from pipeline.cage.linux import set_namespace, unshare
from pipeline.cage.privileges import end_with_parent

_NETWORK, _PROCESSES, _USER = 0x40000000 | 0x08000000, 0x20000000, 0x10000000
"""The network goes with the memory that processes share."""
_PATROL = 1.0  # seconds between two looks at whether the parent is still there


def prepare() -> None:
    """Makes a user namespace for this process and its children, if that is what namespaces need.

    It must have one thread. Nothing changes where the kernel gives no namespaces. Elsewhere it is
    a child that goes on, because only a process whose own namespace belongs to its user may come
    back from making others; this one waits for it, and ends it when its parent is gone.
    """
    if _works(as_user=False) or not _works(as_user=True):
        return
    parent = os.getppid()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    _become_user()
    unshare(_PROCESSES)
    child = os.fork()
    if child:
        _watch(child, parent)
    end_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def leave_network() -> None:
    """Gives this process a network of its own, without any address.

    Raises:
        OSError: the kernel refuses it.
    """
    unshare(_NETWORK)


@contextmanager
def new_processes() -> Iterator[None]:
    """The process that is forked inside is the first of a namespace, and all of it ends with it.

    Raises:
        OSError: the kernel refuses it.
    """
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(_PROCESSES)
        yield
    finally:
        with suppress(OSError):  # a child that is the first has no way back, and needs none
            set_namespace(own, _PROCESSES)
        os.close(own)


def _watch(child: int, parent: int) -> NoReturn:
    """Ends as the child ends, which it kills when its own parent is gone."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        if os.getppid() != parent:
            os.kill(child, signal.SIGKILL)
        signal.sigtimedwait([signal.SIGCHLD], _PATROL)


def _become_user() -> None:
    user, group = os.getuid(), os.getgid()
    unshare(_USER)
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{user} {user} 1")
    (own / "gid_map").write_text(f"{group} {group} 1")


def _works(*, as_user: bool) -> bool:
    """Whether a process gets a namespace; it ends, for one that tries in vain is left half way."""
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(OSError):
            if as_user:
                _become_user()
            leave_network()
            code = 0
        os._exit(code)
    return os.waitpid(child, 0)[1] == 0
