"""Runs another program in a cage: `python -m pipeline.cage.launch ORDER`, where an order is JSON.

The program is the user's own Python with code that the user trusts. It may read what it finds, but
no known place of secrets; it writes to its own folder, and has no network.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pipeline.cage import environment, layers, privileges, secret_places
from pipeline.cage.keeper import Keeper
from pipeline.cage.landlock import Rules
from pipeline.cage.layers import CALLS, FILES, Layers
from pipeline.cage.rlimits import Limits

_DEVICES = ("null", "zero", "shm", "nvidia*", "dri", "kfd")
_STOPPING = 10.0  # seconds for a program and all it started to end
_UNFILTERED = f"{CALLS}: not filtered while code that builds the model runs"
_WIDE = f"{FILES}: code that builds the model reads all but known places of secrets"


@dataclass(frozen=True, kw_only=True)
class Order:
    """A program with its arguments, the folder it writes to, and its time in seconds.

    `told` is a descriptor on which it is said which layers are on, and why it could not be run.
    """

    command: tuple[str, ...]
    folder: str
    seconds: float
    hidden: tuple[str, ...]
    variables: Mapping[str, str]
    without: tuple[str, ...] = ()
    told: int = -1


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended, what it printed, and which layers its cage had and lacked."""

    code: int
    output: str
    had: tuple[str, ...]
    missing: tuple[str, ...]


def run(
    command: tuple[str, ...], folder: Path, seconds: float, without: tuple[str, ...]
) -> Finished:
    """Runs a program in a cage, with a folder of its own to write to.

    Raises:
        subprocess.TimeoutExpired: it took longer; all it started has ended.
        OSError: it cannot be run.
    """
    if not hasattr(os, "fork"):
        return _uncaged(command, folder, seconds)
    reading, writing = os.pipe()
    temporary = folder / "temporary"
    temporary.mkdir()
    order = Order(
        command=command,
        folder=str(folder.resolve()),
        seconds=seconds,
        hidden=tuple(map(str, secret_places.known(os.environ, _home()))),
        variables=environment.for_frameworks(os.environ, temporary),
        without=without,
        told=writing,
    )
    with open(reading, encoding="utf-8") as told:  # noqa: PTH123 (a descriptor)
        code, output = _finished(order, seconds)
        lines = told.read().splitlines()
    if len(lines) > 1:
        raise OSError(0, lines[1])
    worn = json.loads(lines[0]) if lines else {"had": [], "missing": []}
    had = tuple(name for name in worn["had"] if name != FILES)
    missing = (*worn["missing"], _UNFILTERED, *([_WIDE] if FILES in worn["had"] else []))
    return Finished(code=code, output=output, had=had, missing=missing)


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # this user has none
        return Path("/")


def _finished(order: Order, seconds: float) -> tuple[int, str]:
    """The exit code and the output of a launched program."""
    launcher = subprocess.Popen(  # noqa: S603 (this very Python)
        [sys.executable, "-P", "-m", "pipeline.cage.launch", json.dumps(asdict(order))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment.scrubbed(os.environ),
        pass_fds=(order.told,),
        start_new_session=True,
    )
    os.close(order.told)
    with launcher:
        try:
            output, _ = launcher.communicate(timeout=seconds)
        except BaseException:
            launcher.terminate()
            with suppress(subprocess.TimeoutExpired):
                launcher.wait(_STOPPING)
            launcher.kill()
            raise
    return launcher.returncode, output


def _uncaged(command: tuple[str, ...], folder: Path, seconds: float) -> Finished:
    """Runs a program where there are no cages."""
    ended = subprocess.run(  # noqa: S603 (the interpreter is the caller's choice)
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
        errors="replace",
        timeout=seconds,
        env={**os.environ, **environment.for_frameworks(os.environ, folder)},
    )
    missing = tuple(layers.bare(()).sentences())
    return Finished(code=ended.returncode, output=ended.stdout, had=(), missing=missing)


def main(text: str) -> NoReturn:
    """Launches what an order says, waits for it, and ends with its exit code."""
    order = Order(**json.loads(text))
    os.set_inheritable(order.told, False)
    keeper = Keeper()
    with suppress(OSError):
        privileges.end_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _end)
    code = 1
    try:
        program = keeper.start(lambda worn: _become(order, worn), order.without)
        os.close(order.told)
        code = keeper.wait(program)
    finally:
        keeper.stop_all()
    sys.exit(code if code >= 0 else 128 - code)


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _become(order: Order, worn: Layers) -> int:
    """Turns this process into the program; only where that fails it returns a code."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    devices = (path for name in _DEVICES for path in Path("/dev").glob(name))
    rules = Rules(
        lists=(Path("/"),),
        runs=(*secret_places.around([Path(each) for each in order.hidden]), Path(order.folder)),
        writes=(Path(order.folder), *devices),
    )
    worn.lacked[CALLS] = "not filtered"
    plan = layers.Plan(rules=rules, limits=Limits(seconds=order.seconds, memory_mb=None))
    layers.put_on(worn, plan)
    missing = [each for each in worn.sentences() if not each.startswith(CALLS)]
    told = {"had": worn.had, "missing": missing}
    os.write(order.told, json.dumps(told).encode() + b"\n")
    try:
        os.execvpe(order.command[0], order.command, dict(order.variables))  # noqa: S606
    except OSError as error:
        os.write(order.told, (error.strerror or "it is no program").encode() + b"\n")
    return 1


if __name__ == "__main__":
    main(sys.argv[1])
