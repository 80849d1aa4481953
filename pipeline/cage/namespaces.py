"""Namespaces: a network without any address, and processes that see none outside their own.

Root makes them as it is. Others make them inside a user namespace, in which they stay who they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.cage.linux import set_namespace, unshare

_NETWORK, _PROCESSES, _USER = 0x40000000 | 0x08000000, 0x20000000, 0x10000000
"""The network goes with the memory that processes share."""


def prepare() -> None:
    """Makes a user namespace for this process and its children, if that is what namespaces need.

    It must have one thread. Nothing changes where the kernel gives no namespaces.
    """
    if not _works(as_user=False) and _works(as_user=True):
        _become_user()


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
