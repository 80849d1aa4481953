"""Works on an untrusted file in a child process that can neither hang, nor exhaust the machine, nor
reach what it was not given.

The child returns its result as an `entry` folder, never as a pickle, and that is read within limits
too. What of its cage this system does not have is part of the result.
"""

from __future__ import annotations

import logging
import os
import signal
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, ParamSpec, TypeVar

from pydantic import Field

from pipeline.cache import entry
from pipeline.cage.layers import LAYERS
from pipeline.intake import npz, starter
from pipeline.intake import request as asking
from pipeline.intake.request import OUTPUT, Request
from pipeline.intake.starter import Ended, warm_up
from pipeline.printable import printable
from stages import errors, refusal
from stages.errors import CannotJudge
from stages.settings import Mebibytes, Seconds, settings
from stages.zip_names import names_in

__all__ = ["Isolation", "IsolationConfig", "Places", "Sandbox", "isolated", "warm_up"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_SHOWN_OUTPUT = 4000  # characters
_LARGEST_REFUSAL = 2**16  # bytes

if TYPE_CHECKING:
    Layer = str
else:
    Layer = Literal[LAYERS]

logger = logging.getLogger(__name__)


@settings
class IsolationConfig:
    """What one step on an untrusted file may take. Memory is limited on Linux only."""

    seconds: Seconds = 300.0
    """Wall time of the child."""
    memory_mb: Mebibytes = 8192
    """Memory beyond what the child starts with."""
    without: Annotated[tuple[Layer, ...], Field(min_length=0, max_length=len(LAYERS))] = ()
    """Layers of the cage that are left off, for systems on which one does harm."""


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """Which layers the cage of an untrusted process had, and a sentence on each that it lacked."""

    layers: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Places:
    """What a child may read and write besides the paths among its arguments and its own folder."""

    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()


@dataclass(kw_only=True)
class Sandbox:
    """Runs work in caged children within the same limits, and remembers what their cages were."""

    limits: IsolationConfig
    _lacked: dict[str, None] = field(default_factory=dict)
    _had: set[str] | None = None

    def run(
        self,
        work: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """What `work` returns for these arguments, computed in a child within the limits.

        `work` is a module's function, or a stage, with annotated types that `entry` can write.

        Raises:
            BanGateError: the one `work` raised; `CannotJudge` if it failed otherwise, took too
                long, took too much memory, or died.
        """
        return self.run_in(Places(), work, *args, **kwargs)

    def run_in(
        self,
        places: Places,
        work: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """The same as `run`, where the child may use further places."""
        with tempfile.TemporaryDirectory(prefix="ban-gate-") as name:
            asked, own = Path(name, "asked"), Path(name, "own")
            for each in (asked, own):
                each.mkdir()
            asking.write_arguments(work, args, kwargs, asked)
            reads = (*asking.paths_in((args, tuple(kwargs.values()))), *places.reads)
            request = self._request(asking.name_of(work), asked, own, reads, places.writes)
            ended = starter.run(request)
            self._note(ended)
            _log_output(own)
            kind: type[Result] = asking.result_type(work)
            return _outcome(own, kind, ended, self.limits)

    def isolation(self) -> Isolation | None:
        """The layers that all its children had, and what any lacked; None before the first."""
        if self._had is None:
            return None
        layers = tuple(name for name in LAYERS if name in self._had)
        return Isolation(layers=layers, missing=tuple(self._lacked))

    def note(self, had: tuple[str, ...], missing: tuple[str, ...]) -> None:
        """Remembers the cage of a child that was started otherwise."""
        self._had = set(had) if self._had is None else self._had & set(had)
        self._lacked.update(dict.fromkeys(missing))

    def _note(self, ended: Ended) -> None:
        if ended.began:
            self.note(ended.had, ended.missing)

    def _request(
        self,
        work: str,
        asked: Path,
        own: Path,
        reads: tuple[Path, ...],
        writes: tuple[Path, ...],
    ) -> Request:
        return Request(
            work=work,
            asked=str(asked),
            own=str(own),
            start=_current_folder(own),
            reads=tuple(map(str, reads)),
            writes=tuple(map(str, writes)),
            seconds=self.limits.seconds,
            memory_mb=self.limits.memory_mb,
            without=self.limits.without,
        )


def isolated(
    limits: IsolationConfig,
    work: Callable[Parameters, Result],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> Result:
    """What `work` returns for these arguments, computed in a sandbox of its own.

    Raises:
        BanGateError: as `Sandbox.run`.
    """
    return Sandbox(limits=limits).run(work, *args, **kwargs)


def _current_folder(otherwise: Path) -> str:
    try:
        return os.getcwd()  # noqa: PTH109 (a text)
    except OSError:  # it was removed
        return str(otherwise)


def _outcome(folder: Path, kind: type[Result], ended: Ended, limits: IsolationConfig) -> Result:
    if not ended.in_time:
        raise CannotJudge(_too_long(limits))
    if (folder / refusal.FILE).exists():
        raise _refused(folder)
    if not ended.began and ended.code is None:
        raise CannotJudge(
            "no process could be started that reads the model apart; free memory, and scan again"
        )
    if ended.code != 0 or not (folder / entry.COMPLETE).exists():
        raise CannotJudge(_died(ended.code, limits))
    try:
        largest = limits.memory_mb * 2**20
        for name in (entry.COMPLETE, entry.VALUES, entry.ARRAYS):
            _require_plain(folder / name, largest)
        npz.require_within(folder / entry.ARRAYS, names_in(folder / entry.ARRAYS), largest)
        return entry.read(folder, kind)
    except (*entry.UNREADABLE, RecursionError, SyntaxError) as error:
        raise CannotJudge(
            "the process that reads the model left no result that can be read"
            f" ({type(error).__name__}); export the model again"
        ) from error


def _refused(folder: Path) -> errors.BanGateError:
    """The refusal that the child left, if it is one."""
    try:
        _require_plain(folder / refusal.FILE, _LARGEST_REFUSAL)
        found = refusal.found_in(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return CannotJudge(
            f"the process that reads the model left no refusal that can be read"
            f" ({type(error).__name__}); export the model again"
        )
    if not isinstance(found, errors.BanGateError):
        return CannotJudge("the process that reads the model left a refusal of no known kind")
    return type(found)(printable(str(found)))


def _require_plain(path: Path, largest: int) -> None:
    """Raises unless the path is a plain file of at most `largest` bytes: a child may link anywhere.

    Raises:
        ValueError: it is something else.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > largest:
        raise ValueError(f"`{path.name}` is no plain file of at most {largest} bytes")


def _too_long(limits: IsolationConfig) -> str:
    return (
        f"the model was not read and converted within {limits.seconds:g} s and was stopped; if it"
        " is a large model you know, raise `isolation.seconds`"
    )


def _died(code: int | None, limits: IsolationConfig) -> str:
    with suppress(ValueError):
        name = signal.Signals(-(code or 0)).name
        return (
            f"the model crashed the process that reads it ({name}, with {limits.seconds:g} s and"
            f" {limits.memory_mb} MiB allowed); export the model again"
        )
    return f"the process that reads the model ended with code {code}; export the model again"


def _log_output(folder: Path) -> None:
    with suppress(OSError, ValueError):
        _require_plain(folder / OUTPUT, 2**40)
        with (folder / OUTPUT).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * _SHOWN_OUTPUT))
            text = file.read().decode(errors="replace").strip()
        if text:
            logger.debug("the process that reads the model said: %s", text[-_SHOWN_OUTPUT:])
