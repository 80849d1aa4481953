"""Work for a caged child that tries to get out, and says what came of each attempt."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

GOT = "got it"


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """For each attempt by its name: `got it`, or the error it met."""

    found: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Own:
    """The number of a child outside of its namespace, and what is in its environment."""

    process: int
    environment: dict[str, str]
    descriptors: tuple[str, ...]


def own_number() -> int:
    """The number by which processes outside know this one."""
    return int(Path("/proc/self").readlink().name) if sys.platform == "linux" else os.getpid()


def look_at_itself() -> Own:
    """What a child is."""
    opened = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            opened.append(str(each.readlink()))
        except OSError:  # the one that lists the folder
            continue
    return Own(
        process=own_number(), environment=dict(os.environ), descriptors=tuple(sorted(opened))
    )


def break_out(secret_: str, beside: str, port: int, parent: int, own_: str) -> Attempts:
    """Every attempt to get at what is not the child's; `own_` is a folder it may write to.

    Paths are texts, because a child may read the paths it gets.
    """
    secret, own = Path(secret_), Path(own_)
    attempts: dict[str, Callable[[], object]] = {
        "read a key": secret.read_bytes,
        "list its folder": lambda: list(secret.parent.iterdir()),
        "write beside it": lambda: Path(beside).write_text("x"),
        "link to it": lambda: os.link(secret, own / "link"),
        "move it": lambda: secret.rename(own / "moved"),
        "read passwords": lambda: Path("/etc/shadow").read_bytes(),
        "read the parent's environment": Path(f"/proc/{parent}/environ").read_bytes,
        "signal the parent": lambda: os.kill(parent, 0),
        "open a socket": socket.socket,
        "connect": lambda: socket.create_connection(("127.0.0.1", port), timeout=5),
        "send a datagram": lambda: _send(port),
        "start a process": _start_a_process,
        "run a program": lambda: subprocess.run([sys.executable, "-c", "1"], check=True),
        "gain the rights of another user": lambda: os.setuid(12345),
        "raise its limits": _raise_limits,
        "leave its folder for good": lambda: _made(own / "deep") and os.chroot(own),
    }
    return Attempts(found={name: _tried(each) for name, each in attempts.items()})


def work_as_usual(given: Path, own: Path) -> Attempts:
    """Every thing that honest work does."""
    attempts: dict[str, Callable[[], object]] = {
        "read what it was given": given.read_bytes,
        "write into its folder": lambda: _made(own / "folder" / "file"),
        "move inside its folder": lambda: (own / "folder" / "file").rename(own / "file"),
        "write into the temporary folder": lambda: Path(os.environ["TMPDIR"], "t").write_text("x"),
        "write into its home": lambda: Path("~/h").expanduser().write_text("x"),
        "compute in threads": _compute_in_threads,
        "import a module": lambda: __import__("wave"),
        "import of a package": lambda: __import__("scipy.signal"),
        "ask for a GPU": torch.cuda.is_available,
        "throw output away": lambda: Path(os.devnull).write_text("x"),
        "draw randomness": lambda: os.urandom(8),
        "know the processors": os.cpu_count,
    }
    return Attempts(found={name: _tried(each) for name, each in attempts.items()})


def leave_a_child(note: Path) -> Own:
    """Starts a process in a session of its own that would outlive this one, and waits with it."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            (note / "grandchild").write_text(str(own_number()))
            _wait()
        _wait()
    (note / "child").write_text(str(own_number()))
    _wait()
    raise AssertionError("it waits for ever")


def _wait() -> None:
    time.sleep(600)
    os._exit(0)


def _tried(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    except Exception as error:  # noqa: BLE001 (whatever keeps it from it)
        return f"{type(error).__name__}: {error}"
    return GOT


def _made(path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("made")
    return True


def _send(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.sendto(b"x", ("127.0.0.1", port))


def _start_a_process() -> None:
    """Starts one that ends at once: left alive, it would write this one's result a second time."""
    started = os.fork()
    if started == 0:
        os._exit(0)
    os.waitpid(started, 0)


def _raise_limits() -> None:
    import resource  # noqa: PLC0415 (not on every system)

    endless = resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_CPU, (endless, endless))


def _compute_in_threads() -> None:
    done = []
    thread = threading.Thread(target=lambda: done.append(torch.ones(4).sum()))
    thread.start()
    thread.join()
    torch.set_num_threads(4)
    torch.randn(512, 512) @ torch.randn(512, 512)
    assert done


def read_null() -> Attempts:
    """Work that crashes."""
    ctypes.string_at(0)
    raise AssertionError("a null pointer was read")
