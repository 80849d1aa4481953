"""The child's side: puts on its cage, does the work, and leaves a result or a refusal.

Run as `python -m pipeline.intake.worker`, it does what a line on stdin asks for, where a system has
no `fork`, and says on stdout what the server's keeper would.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from traceback import format_exc

from tqdm import tqdm

from pipeline.cache import entry
from pipeline.cage import environment, layers, system_places
from pipeline.cage.landlock import Rules
from pipeline.cage.layers import Layers
from pipeline.cage.rlimits import Limits
from pipeline.intake import request as asking
from pipeline.intake.request import OUTPUT, Request
from pipeline.printable import printable
from stages import refusal
from stages.errors import BanGateError, CannotJudge

OUT_OF_MEMORY = ("can't allocate memory", "bad_alloc", "Failed to allocate memory")
_LONGEST_REASON = 2000  # characters


def work(request: Request, worn: Layers, line: int) -> int:
    """Does the work in a cage, and returns the exit code of this process.

    `line` is the descriptor of the connection to whoever asked: it is told which layers are on, and
    closed, before anything untrusted is read.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process itself
    own = Path(request.own)
    _redirect(own / OUTPUT)
    os.chdir(request.start)
    os.environ.update(environment.home_in(own))
    tqdm.set_lock(RLock())  # else torch.fx makes a semaphore, which outlives a child that is killed
    task = asking.find(request.work)
    args, kwargs = asking.read_arguments(task, Path(request.asked))
    layers.put_on(worn, _plan(request))
    told = {"had": worn.had, "missing": worn.sentences()}
    os.write(line, json.dumps(told).encode() + b"\n")
    os.close(line)
    try:
        entry.write(own, task(*args, **kwargs), asking.result_type(task), {})
    except Exception as error:  # noqa: BLE001 (whatever a hostile file makes a library raise)
        refusal.leave(_explained(error, request.memory_mb), own)
        print(format_exc(), file=sys.stderr)  # noqa: T201 (stderr is the file of the output)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return 0


def _plan(request: Request) -> layers.Plan:
    """What the child keeps: what it was given, and what every Python process reads."""
    reads = (*system_places.readable(), *map(Path, request.reads))
    writes = (*system_places.writable(), Path(request.own), *map(Path, request.writes))
    return layers.Plan(
        rules=Rules(reads=reads, writes=writes),
        limits=Limits(seconds=request.seconds, memory_mb=request.memory_mb),
    )


def _redirect(output: Path) -> None:
    """Sends what libraries print to a file, and lets them read nothing."""
    sys.stdout.flush()
    with output.open("wb") as file, open(os.devnull, "rb") as nothing:  # noqa: PTH123 (no path)
        os.dup2(nothing.fileno(), 0)
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)


def _explained(error: Exception, memory_mb: int) -> BanGateError:
    """The refusal for an exception."""
    if any(_is_out_of_memory(one) for one in _chain(error)):
        return CannotJudge(_too_much(memory_mb))
    if isinstance(error, BanGateError):
        return type(error)(printable(str(error)))
    reason = (str(error).strip().splitlines() or [""])[0][:_LONGEST_REASON]
    return CannotJudge(
        f"the model makes its reader fail with {type(error).__name__}: {printable(reason)}; please"
        " report it, with the output of `-v`"
    )


def _too_much(memory_mb: int) -> str:
    return (
        f"reading and converting the model takes more than {memory_mb} MiB of memory; if it"
        " is a large model you know, raise `isolation.memory_mb`"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(one in str(error) for one in OUT_OF_MEMORY)


def _alone() -> int:
    """Does what a line on stdin asks for, in this very process."""
    request = asking.read_request(sys.stdin.buffer.readline())
    return work(request, layers.bare(request.without), os.dup(1))


if __name__ == "__main__":
    import pipeline.intake.preload  # noqa: F401 (imported before the cage is on)

    sys.exit(_alone())
