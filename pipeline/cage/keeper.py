"""Starts processes in cages, and ends each with everything that it started.

Where there are namespaces, a process is the first of its own, and the kernel ends the others with
it. Elsewhere the keeper adopts what such a process leaves behind, and ends that itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from traceback import print_exc

import psutil

from pipeline.cage import layers, namespaces, privileges
from pipeline.cage.layers import Layers
from pipeline.cage.linux import IS_LINUX

Work = Callable[[Layers], int]


class Keeper:
    """The one parent of processes in cages. It must be made while this process has one thread."""

    def __init__(self) -> None:
        self._running: dict[int, Layers] = {}
        if IS_LINUX:
            namespaces.prepare()
            with suppress(OSError):
                privileges.adopt_orphans()

    def start(self, work: Work, without: Collection[str]) -> int:
        """The number of a new process that does the work and ends with the code it returns.

        The work gets the layers that are on, and puts on the others.

        Raises:
            OSError: there can be no further process.
        """
        worn = layers.bare(without)
        child = None
        if layers.PROCESSES not in worn.lacked:
            try:
                with namespaces.new_processes():
                    child = os.fork()
                worn.had.append(layers.PROCESSES)
            except OSError as error:
                worn.lacked[layers.PROCESSES] = layers.refused(error)
        if child is None:
            child = os.fork()
        if child == 0:
            _do(work, worn)
        self._running[child] = worn
        return child

    def stop(self, process: int) -> None:
        """Kills a process that was started here; `ended` tells when it is gone."""
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)

    def ended(self) -> Iterator[tuple[int, int]]:
        """The processes that have ended since the last call, with their exit codes.

        A code is negative for a signal. Nothing that such a process started is left.
        """
        while found := _waited(os.WNOHANG):
            process, status = found
            if worn := self._running.pop(process, None):
                self._end_rest(process, worn)
                yield process, os.waitstatus_to_exitcode(status)

    def wait(self, process: int) -> int:
        """The exit code of a process that was started here, once it has ended."""
        while True:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            for ended, code in self.ended():
                if ended == process:
                    return code

    def stop_all(self) -> None:
        """Ends all that was started here, and waits for it."""
        for process in self._running:
            self.stop(process)
        while found := _waited(0):
            if worn := self._running.pop(found[0], None):
                self._end_rest(found[0], worn)

    def _end_rest(self, process: int, worn: Layers) -> None:
        """Kills what a process has left, and what that starts meanwhile."""
        if layers.PROCESSES in worn.had:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)
        while orphans := [each for each in _children() if each not in self._running]:
            for orphan in orphans:
                self.stop(orphan)
                with suppress(ChildProcessError):
                    os.waitpid(orphan, 0)


def _do(work: Work, worn: Layers) -> None:
    """Does the work in a new process, and ends it whatever happens."""
    code = 1
    try:
        with suppress(OSError):
            os.setsid()
        with suppress(OSError):
            privileges.adopt_orphans()
        code = work(worn)
    except BaseException:  # noqa: BLE001 (a child never goes on as a second parent)
        print_exc()
    finally:
        os._exit(code)


def _children() -> list[int]:
    """The children of this process, by their numbers in its own namespace."""
    if not IS_LINUX:
        return [each.pid for each in psutil.Process().children()]
    found = []
    for child in psutil.Process(int(Path("/proc/self").readlink().name)).children():
        with suppress(OSError):
            status = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8", errors="replace")
            (numbers,) = (line for line in status.splitlines() if line.startswith("NSpid:"))
            found.append(int(numbers.split()[-1]))
    return found


def _waited(options: int) -> tuple[int, int] | None:
    """A child that has ended, and its status."""
    try:
        process, status = os.waitpid(-1, options)
    except ChildProcessError:
        return None
    return (process, status) if process else None
