"""Stage results on disk, found again by what made them: `root/<stage>/<key>/`.

An entry is written in a draft folder and renamed into place, so it exists whole or not at all. If
the place is taken, another process was faster and its result is used.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from filelock import FileLock

from pipeline.cache import entry, keys, seal
from pipeline.cache.size import LOCK
from pipeline.versions import versions_of
from stages.stage import Stage

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Watch = Callable[[str], AbstractContextManager[None]]

RECORDED_VERSIONS = ("ban-gate", "numpy", "onnxruntime-gpu", "onnxruntime", "torch")

logger = logging.getLogger(__name__)


def unwatched(_name: str) -> AbstractContextManager[None]:
    """Shows no progress."""
    return nullcontext()


class Store:
    """Runs stages or reads their earlier results, and notes how long each took.

    `seconds` holds the wall time of every step by name, `done` the steps that ended well, `reused`
    the stages whose result was read.
    `watch(name)` is entered around every step, for whoever shows progress.
    """

    def __init__(
        self, root: Path | None, watch: Watch = unwatched, secret: bytes | None = None
    ) -> None:
        """A store in `root`; with None nothing is cached or reused.

        With a secret, which does not lie in `root`, only results that were kept with it are reused.
        """
        self.root = root
        self.watch = watch
        self.secret = secret
        self.seconds: dict[str, float] = {}
        self.done: list[str] = []
        self.reused: list[str] = []

    def run(
        self, stage: Stage[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """The stage's result for these arguments: an earlier one if there is one."""
        with self.timed(stage.name):
            return self.untimed(stage, *args, **kwargs)

    def untimed(
        self, stage: Stage[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """The same as part of a step that is timed as a whole."""
        if self.root is None:
            return stage(*args, **kwargs)
        place, facts = _place(self.root, stage, *args, **kwargs)
        kept = _kept(place, stage.result_type, self.secret)
        if kept is not None:
            self.reused.append(stage.name)
            return kept
        result = stage(*args, **kwargs)
        return _remembered(place, result, stage.result_type, facts, self.secret)

    def kept(
        self, stage: Stage[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result | None:
        """The stage's earlier result for these arguments; None if there is none to use."""
        if self.root is None:
            return None
        place, _ = _place(self.root, stage, *args, **kwargs)
        return _kept(place, stage.result_type, self.secret)

    def remember(
        self,
        stage: Stage[Parameters, Result],
        result: Result,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> None:
        """Keeps a result that was come by otherwise, in place of the one that was kept before."""
        if self.root is None:
            return
        place, facts = _place(self.root, stage, *args, **kwargs)
        shutil.rmtree(place, ignore_errors=True)
        _remembered(place, result, stage.result_type, facts, self.secret)

    def forget(
        self, stage: Stage[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> None:
        """Removes what is kept for these arguments, if there is something."""
        if self.root is None:
            return
        place, _ = _place(self.root, stage, *args, **kwargs)
        shutil.rmtree(place, ignore_errors=True)

    def compute(
        self, stage: Stage[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """The stage's result for these arguments, computed anew whatever is kept."""
        with self.timed(stage.name):
            return stage(*args, **kwargs)

    def quiet(self) -> Store:
        """A store in the same place, with steps of its own that nobody is shown."""
        return Store(self.root, secret=self.secret)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Times and announces a step; called directly for steps that are not cached."""
        started, reused = time.perf_counter(), len(self.reused)
        try:
            with self.watch(name):
                yield
            self.done.append(name)
        finally:
            seconds = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        note = "  (kept from an earlier scan)" if len(self.reused) > reused else ""
        logger.info("%-24s %7.1f s%s", name, seconds, note)


def _place(
    root: Path,
    stage: Stage[Parameters, Result],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> tuple[Path, Mapping[str, object]]:
    """Where the stage's result for these arguments lies, and what it is made from."""
    inputs = keys.describe_inputs(stage, *args, **kwargs)
    facts = {"stage": stage.name, "version": stage.version, "inputs": inputs}
    return root / stage.name / keys.key_of(stage, inputs), facts


def _kept(place: Path, kind: type[Result], secret: bytes | None) -> Result | None:
    try:
        if not (place / entry.COMPLETE).is_file():
            shutil.rmtree(place, ignore_errors=True)
            return None
        record = (place / entry.COMPLETE).read_bytes()
        if secret is not None:
            seal.require_seal(place, secret, _name(place), record)
        kept = entry.read(place, kind, record)
    except entry.UNREADABLE as error:
        logger.warning(
            "dropped an unreadable earlier result in %s (%s); computing it", place, error
        )
        shutil.rmtree(place, ignore_errors=True)
        return None
    with suppress(OSError):  # perhaps it may only be read
        (place / entry.COMPLETE).touch()  # it was used now
    return kept


def _remembered(
    place: Path,
    result: Result,
    kind: type[Result],
    facts: Mapping[str, object],
    secret: bytes | None,
) -> Result:
    """The result, kept in `place`, or the one another process kept there first."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        drafts = tempfile.TemporaryDirectory(prefix=".draft-", dir=place.parent)
        with drafts as folder, FileLock(Path(folder) / LOCK):
            draft = Path(folder) / "entry"
            draft.mkdir()
            entry.write(draft, result, kind, {**facts, **_circumstances()})
            if secret is not None:
                record = (draft / entry.COMPLETE).read_bytes()
                seal.write_seal(draft, secret, _name(place), record)
            if _moved(draft, place):
                return result
    except OSError as error:
        logger.warning("the result is not kept in %s (%s)", place, error)
        return result
    return _kept(place, kind, secret) or result


def _name(place: Path) -> str:
    """The place of an entry in its store."""
    return f"{place.parent.name}/{place.name}"


def _moved(draft: Path, place: Path) -> bool:
    try:
        draft.replace(place)
    except OSError:
        if not place.is_dir():
            raise
        return False
    return True


def _circumstances() -> dict[str, object]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions_of(RECORDED_VERSIONS),
    }
