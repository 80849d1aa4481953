"""The process that every child is forked from, so that a child starts with what it needs imported.

It is started as `python -m pipeline.intake.server`, with a scrubbed environment, and so never runs
the user's script. It opens nothing untrusted itself. Its stdin is a socket: each connection that
comes through it asks for one piece of work, and is told how that ended. The server ends, with all
its children, when that socket is closed or its parent is gone.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from contextlib import suppress

from pipeline.cage.keeper import Keeper
from pipeline.cage.layers import Layers
from pipeline.intake import request as asking

_PATROL = 1.0  # seconds between two looks at whether the parent is still there


class Server:
    """Starts a child for each connection, and ends it when the connection is closed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._keeper = Keeper()
        self._connections: dict[int, socket.socket] = {}
        self._wakers = os.pipe()
        os.set_blocking(self._wakers[1], False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a signal that is ignored wakes nobody
        signal.set_wakeup_fd(self._wakers[1])

    def serve(self) -> None:
        """Takes requests until the caller is gone."""
        import pipeline.intake.preload  # noqa: F401, PLC0415 (what the children need)

        parent = os.getppid()
        try:
            while os.getppid() == parent and self._turn():
                pass
        finally:
            self._keeper.stop_all()

    def _turn(self) -> bool:
        """Does what there is to do, and says whether the caller is still there."""
        lines = {line.fileno(): child for child, line in self._connections.items()}
        waiting = [self._control.fileno(), self._wakers[0], *lines]
        ready, _, _ = select.select(waiting, [], [], _PATROL)
        if self._wakers[0] in ready:
            os.read(self._wakers[0], 4096)
        for child in (lines[each] for each in ready if each in lines):
            self._keeper.stop(child)
        for child, code in self._keeper.ended():
            with self._connections.pop(child) as line, suppress(OSError):
                line.sendall(json.dumps({asking.CODE: code}).encode() + b"\n")
        return self._control.fileno() not in ready or self._take()

    def _take(self) -> bool:
        """Starts what a new connection asks for; false if none can come any more."""
        message, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        for descriptor in descriptors:
            line = socket.socket(fileno=descriptor)
            try:
                with line.makefile("rb") as asked:
                    self._start(asking.read_request(asked.readline()), line)
            except (OSError, ValueError):  # the caller is gone, or there can be no more processes
                line.close()
        return bool(message)

    def _start(self, request: asking.Request, line: socket.socket) -> None:
        def work(worn: Layers) -> int:
            from pipeline.intake import worker  # noqa: PLC0415 (imported before, by `preload`)

            self._forget()
            return worker.work(request, worn, line.detach())

        self._connections[self._keeper.start(work, request.without)] = line

    def _forget(self) -> None:
        """Closes in a child what is the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in self._wakers:
            os.close(each)
        for other in self._connections.values():
            other.close()
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (no path of a file)
            os.dup2(nothing.fileno(), self._control.detach())


if __name__ == "__main__":
    with socket.socket(fileno=0) as caller:
        Server(caller).serve()
