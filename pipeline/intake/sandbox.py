"""Works on an untrusted file in a child process that can neither hang nor exhaust the machine.

The child is forked from a server process that has only imported what the work needs, so it is quick
and inherits no threads. It returns its result as an `entry` folder, never as a pickle.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import context, forkserver, get_all_start_methods, get_context
from pathlib import Path
from threading import RLock
from traceback import format_exc
from typing import ParamSpec, TypeVar, get_type_hints

from tqdm import tqdm

from pipeline.cache import entry
from pipeline.printable import printable
from stages import errors, refusal
from stages.errors import BanGateError, CannotJudge

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

FORKS = "forkserver" in get_all_start_methods()
PRELOADED = ["pipeline.intake.preload"]
OUTPUT = "output.txt"
OUT_OF_MEMORY = ("can't allocate memory", "bad_alloc", "Failed to allocate memory")
_SHOWN_OUTPUT = 4000  # characters

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class IsolationConfig:
    """What one step on an untrusted file may take: wall time in seconds, and MiB of memory beyond
    what the child starts with. Memory is limited on Linux only.
    """

    seconds: float = 300.0
    memory_mb: int = 8192

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_mb"):
            if getattr(self, name) <= 0:
                raise errors.ConfigError(
                    f"setting `isolation.{name}` is {getattr(self, name)}, expected more than 0"
                )


def warm_up() -> None:
    """Starts the server process, so that its imports overlap with what the caller does next."""
    if FORKS:
        _context().set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()


def isolated(
    limits: IsolationConfig,
    work: Callable[Parameters, Result],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> Result:
    """What `work` returns for these arguments, computed in a child process within the limits.

    `work` is a module's function, or a stage, with an annotated result type that `entry` can write.

    Raises:
        BanGateError: the one `work` raised; `CannotJudge` if it failed otherwise, took too long,
            took too much memory, or died.
    """
    warm_up()
    with tempfile.TemporaryDirectory(prefix="ban-gate-") as name:
        folder = Path(name)
        child = _context().Process(
            target=_child, args=(folder, limits.memory_mb, work, args, kwargs), daemon=True
        )
        child.start()
        try:
            child.join(limits.seconds)
            in_time = not child.is_alive()
        finally:
            child.kill()
            child.join()
        _log_output(folder)
        if not in_time:
            raise CannotJudge(_too_long(limits))
        return _outcome(folder, work, child.exitcode, limits)


def _context() -> context.ForkServerContext | context.SpawnContext:
    return get_context("forkserver") if FORKS else get_context("spawn")


def _child(
    folder: Path,
    memory_mb: int,
    work: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> None:
    """Runs in the child: leaves an entry, or a refusal, in the folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process itself
    _redirect_output(folder / OUTPUT)
    tqdm.set_lock(RLock())  # else torch.fx makes a semaphore, which outlives a child that is killed
    _limit_memory(memory_mb)
    try:
        entry.write(folder, work(*args, **kwargs), _result_type(work), {})
    except Exception as error:  # noqa: BLE001 (whatever a hostile file makes a library raise)
        refusal.leave(_explained(error, memory_mb), folder)
        print(format_exc(), file=sys.stderr)  # noqa: T201 (stderr is the file of the output)


def _redirect_output(path: Path) -> None:
    """Sends everything that libraries print to a file: the caller's stdout is for the verdict."""
    sys.stdout.flush()
    with path.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)


def _limit_memory(memory_mb: int) -> None:
    """Limits this process to its present private memory and `memory_mb` MiB on top."""
    if sys.platform != "linux":
        return
    import resource  # noqa: PLC0415 (not on every system)

    status = Path("/proc/self/status").read_text(encoding="ascii")
    (held,) = (line for line in status.splitlines() if line.startswith("VmData:"))
    limit = int(held.split()[1]) * 1024 + memory_mb * 1024**2
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _explained(error: Exception, memory_mb: int) -> BanGateError:
    """The refusal for an exception."""
    if any(_is_out_of_memory(one) for one in _chain(error)):
        return CannotJudge(_too_much(memory_mb))
    if isinstance(error, BanGateError):
        return type(error)(printable(str(error)))
    reason = (str(error).strip().splitlines() or [""])[0]
    return CannotJudge(
        f"the model makes its reader fail with {type(error).__name__}: {printable(reason)}; please"
        " report it, with the output of `-v`"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(one in str(error) for one in OUT_OF_MEMORY)


def _outcome(
    folder: Path, work: Callable[..., Result], code: int | None, limits: IsolationConfig
) -> Result:
    if error := refusal.found_in(folder):
        raise error
    if code != 0 or not (folder / entry.COMPLETE).exists():
        raise CannotJudge(_died(code, limits))
    return entry.read(folder, _result_type(work))


def _too_long(limits: IsolationConfig) -> str:
    return (
        f"the model was not read and converted within {limits.seconds:g} s and was stopped; if it"
        " is a large model you know, raise `isolation.seconds`"
    )


def _too_much(memory_mb: int) -> str:
    return (
        f"reading and converting the model takes more than {memory_mb} MiB of memory; if it"
        " is a large model you know, raise `isolation.memory_mb`"
    )


def _died(code: int | None, limits: IsolationConfig) -> str:
    with suppress(ValueError):
        name = signal.Signals(-(code or 0)).name
        return (
            f"the model crashed the process that reads it ({name}, with {limits.seconds:g} s and"
            f" {limits.memory_mb} MiB allowed); export the model again"
        )
    return f"the process that reads the model ended with code {code}; export the model again"


def _result_type(work: Callable[..., Result]) -> type[Result]:
    kind: type[Result] = get_type_hints(work)["return"]
    return kind


def _log_output(folder: Path) -> None:
    with suppress(OSError):
        text = (folder / OUTPUT).read_text(errors="replace").strip()
        if text:
            logger.debug("the process that reads the model said: %s", text[-_SHOWN_OUTPUT:])
