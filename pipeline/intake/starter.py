"""Starts the processes that do untrusted work, and waits for them no longer than asked.

Where there is `fork`, a server that was started once forks each child, which takes a tenth of a
second; elsewhere each child is a Python of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from pipeline.cage import environment
from pipeline.intake.request import CODE, Request
from stages.errors import CannotJudge

FORKS = hasattr(os, "fork") and hasattr(socket, "send_fds")
_STARTING = 300.0  # seconds for the imports, and for a child to begin
_ENDING = 15.0  # seconds for a child to be gone
_LONGEST = 2**16  # bytes that a child may say


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended: its exit code, negative for a signal and None if it was stopped.

    `had` and `missing` are the layers of its cage; `began` is false if it never put it on.
    """

    code: int | None
    in_time: bool
    began: bool
    had: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class _Server:
    """The process that forks children, and the socket it takes requests from."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 (this very Python)
                _command("server"),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment.scrubbed(os.environ),
                start_new_session=True,
            )
        atexit.register(self.stop)

    def is_usable(self) -> bool:
        """Whether it is this process's own and still there."""
        return self.owner == os.getpid() and self.process.poll() is None

    def connect(self) -> socket.socket:
        """A connection that asks for one child."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.socket, [b"+"], [theirs.fileno()])
        return ours

    def stop(self) -> None:
        """Ends the server, and with it all its children."""
        self.socket.close()
        if self.owner == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_ENDING)


_lock = threading.Lock()
_server: _Server | None = None


def warm_up() -> None:
    """Starts the server, so that its imports overlap with what the caller does next."""
    if FORKS:
        _running()


def run(request: Request) -> Ended:
    """Has a child do what is asked for, and says how it ended; nothing of it is left then.

    Raises:
        CannotJudge: no process can be started.
    """
    try:
        return _forked(request) if FORKS else run_alone(request)
    except OSError as error:
        raise CannotJudge(
            f"no process can be started that reads the model apart ({error}); free memory or"
            " processes and scan again"
        ) from error


def run_alone(request: Request) -> Ended:
    """Has a Python of its own do what is asked for, where there is no server."""
    child = subprocess.Popen(  # noqa: S603 (this very Python)
        _command("worker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment.scrubbed(os.environ),
    )
    with child:
        try:
            told, _ = child.communicate(request.as_line(), _STARTING / 10 + request.seconds)
            in_time = True
        except subprocess.TimeoutExpired:
            in_time = False
            child.kill()
            told, _ = child.communicate()
    return _understood(told, child.returncode, in_time=in_time)


def _forked(request: Request) -> Ended:
    """The time begins when the child has its cage on."""
    with _connected() as line:
        line.sendall(request.as_line())
        told = _line(line, time.monotonic() + _STARTING)
        end = time.monotonic() + request.seconds
        last = _line(line, end) if told else b""
        in_time = bool(last) or time.monotonic() < end
        line.shutdown(socket.SHUT_WR)  # now the keeper ends what is left
        last = last or _line(line, time.monotonic() + _ENDING)
    if not last.startswith(f'{{"{CODE}"'.encode()):
        told, last = b"", told
    code = json.loads(last)[CODE] if last else None
    return _understood(told, code, in_time=in_time)


def _understood(told: bytes, code: int | None, *, in_time: bool) -> Ended:
    """What a child said of its cage before it began, if it did."""
    first = json.loads(told.splitlines()[0]) if told.strip() else None
    if first is None:
        return Ended(code=code, in_time=in_time, began=False)
    had, missing = tuple(first["had"]), tuple(first["missing"])
    return Ended(code=code, in_time=in_time, began=True, had=had, missing=missing)


def _line(connection: socket.socket, until: float) -> bytes:
    """What comes up to the next line break; nothing if it does not come in time."""
    got = b""
    while not got.endswith(b"\n") and len(got) < _LONGEST:
        connection.settimeout(max(until - time.monotonic(), 0.001))
        try:
            more = connection.recv(1)
        except OSError:  # in time nothing came, or the other end is gone
            return b""
        if not more:
            return b""
        got += more
    return got


def _connected() -> socket.socket:
    """A connection to a child of the server, which is started again if it has died."""
    try:
        return _running().connect()
    except (BrokenPipeError, ConnectionResetError):
        return _running().connect()


def _running() -> _Server:
    global _server  # noqa: PLW0603 (one for the whole process)
    with _lock:
        if _server is None or not _server.is_usable():
            _server = _Server()
        return _server


def _command(module: str) -> list[str]:
    return [sys.executable, "-P", "-m", f"pipeline.intake.{module}"]
