"""Works on a plan: fetches, starts scans, and writes one result for each version.

It alone writes into the sweep's folder, apart from scans of this machine, which put their evidence
in its place in one step; so whatever dies, what is there is whole, and the next run goes on.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from mlflow_project.errors import Ended as Signalled
from mlflow_project.errors import RegistryError, TrackingError
from mlflow_project.sweep.inputs import Inputs, Model
from mlflow_project.sweep.job import OUTCOME_FILE, Ended, GateOptions, Job
from mlflow_project.sweep.local import Executor
from mlflow_project.sweep.progress import Progress
from mlflow_project.sweep.settled import Maker
from pipeline.atomic_files import write_bytes
from pipeline.sweep.attempts import attempts_at, note_death
from pipeline.sweep.keys import job_key
from pipeline.sweep.plan import Line, Plan
from pipeline.sweep.results import ATTEMPTS, LOCKS, RESULTS, SCANS, Result, write_result
from stages.errors import BanGateError, CannotJudge

AGAIN_AFTER = (2.0, 120.0)  # seconds: the first wait for a server that is away, and the longest
TRIES = 3
"""How often a version is asked for that the server, which answers otherwise, does not give."""
LOST = 5
"""How often a scan is started again that went with its machine, or its memory, after a pause."""
LOOKS_EVERY = 0.5  # seconds
LOCKED = 2.0  # seconds until a scan of another shard is looked for again
SERVER = (RegistryError, TrackingError)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a plan is worked on: `gate` writes to the registry; `patience` is how many seconds a
    server may be away, `seconds` what one scan may take.
    """

    folder: Path
    gate: GateOptions | None = None
    patience: float = 600.0
    seconds: float = 14_400.0


@dataclass(kw_only=True)
class _Flight:
    """A scan under way, and the versions that wait for it."""

    job: Job
    model: Model
    lock: BaseFileLock
    lines: list[Line] = field(default_factory=list)


class ServerAway(RegistryError):
    """The server did not answer for longer than was waited."""


class Driver:
    """Works on versions of a plan until each has a result."""

    def __init__(
        self, plan: Plan, options: Options, inputs: Inputs, executor: Executor, maker: Maker
    ) -> None:
        self._plan, self._options = plan, options
        self._inputs, self._executor, self._maker = inputs, executor, maker
        self._flying: dict[str, _Flight] = {}
        self._tries: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._away_since: float | None = None
        self._failures = 0
        self._quiet_until = 0.0
        self._progress = Progress(0)
        for name in (RESULTS, SCANS, ATTEMPTS, LOCKS):
            (options.folder / name).mkdir(exist_ok=True)

    def run(self, lines: Sequence[Line]) -> None:
        """Gives each of the versions its result.

        Raises:
            ServerAway: the server did not answer for too long; what has results keeps them.
            ConfigError: samples have changed since the plan was made.
        """
        waiting = deque(lines)
        self._progress = Progress(len(lines))
        try:
            while waiting or self._flying:
                if waiting and self._has_room():
                    self._take(waiting)
                for ended in self._executor.ended(self._nap(waiting)):
                    waiting.extend(self._settle(ended))
        except (KeyboardInterrupt, Signalled):
            logger.warning("stopped; what has a result keeps it, and the same command goes on")
            raise
        finally:
            self._end()

    def _has_room(self) -> bool:
        quiet = time.monotonic() < self._quiet_until
        return not quiet and len(self._flying) <= self._executor.capacity

    def _nap(self, waiting: deque[Line]) -> float:
        """How long to wait for an end: not at all where another scan could be started."""
        if waiting and self._has_room():
            return 0.0
        if not self._flying:
            time.sleep(min(LOOKS_EVERY, max(0.0, self._quiet_until - time.monotonic())))
            return 0.0
        return LOOKS_EVERY

    def _take(self, waiting: deque[Line]) -> None:
        """Starts on the next version, or puts it off where the server does not answer."""
        line = waiting.popleft()
        try:
            postponed = self._start(line)
            if self._options.gate is None:  # else it has still to take what comes of it
                self._away_since, self._failures = None, 0
        except SERVER as error:
            postponed = self._put_off(line, error)
        except (CannotJudge, OSError) as error:
            self._finish(self._maker.refused(line, str(error)))
            return
        if postponed:
            waiting.append(line)

    def _start(self, line: Line) -> bool:
        """Fetches a version and starts its scan, or uses one; whether to come back to it later."""
        if line.samples is None:
            self._finish(self._maker.without_samples(line))
            return False
        samples = self._inputs.samples(self._plan.head.samples[line.samples])
        model = self._inputs.model(line)
        try:
            if model.claim:
                self._finish(self._maker.attested(line, model.claim))
                return False
            job = self._job(line, model, samples.digest)
            job = replace(
                job,
                samples=samples.path,
                preprocess=samples.preprocess,
                class_names=samples.class_names,
                references=samples.reference,
            )
            return self._scan(line, job, model)
        finally:
            self._inputs.release(model)

    def _job(self, line: Line, model: Model, samples: str) -> Job:
        head, gate = self._plan.head, self._options.gate
        registered = model.used is not None
        facts: dict[str, object] = {
            "settings": head.settings_digest,
            "scanner": head.scanner,
            "trusted": head.trust_model_code,
            "registered": registered,
            "accepted": self._accepted if registered else (),
            "policy": head.policy_digest,
            "gated": [line.source, gate.promote] if gate and registered else None,
        }
        key = job_key(model.digest, samples, facts)
        writes = gate is not None and registered
        return Job(
            key=key,
            model=line.source if writes else str(model.path),
            uri=line.source,
            samples="",
            settings=head.settings,
            registered=registered,
            accepted_files=self._accepted if registered else (),
            trusted=head.trust_model_code,
            python=head.python or "",
            facts=self._maker.policy is not None,
            gate=gate if writes else None,
            seconds=self._options.seconds,
            attempts=str(self._attempts(key)) if self._executor.shares_machine else "",
        )

    @property
    def _accepted(self) -> tuple[str, ...]:
        return self._maker.policy.accepted_files if self._maker.policy else ()

    def _scan(self, line: Line, job: Job, model: Model) -> bool:
        """Uses an earlier scan, joins one under way, or starts one; false once that is settled."""
        if job.key in self._flying:
            self._flying[job.key].lines.append(line)
            return False
        lock = FileLock(self._options.folder / LOCKS / job.key, timeout=0)
        try:
            lock.acquire()
        except Timeout:  # another shard scans the same bytes
            self._quiet_until = max(self._quiet_until, time.monotonic() + LOCKED)
            return True
        if self._settled_before(line, job.key):
            lock.release()
            return False
        self._inputs.keep(model)
        self._flying[job.key] = _Flight(job=job, model=model, lock=lock, lines=[line])
        self._executor.submit(job)
        return False

    def _settled_before(self, line: Line, key: str) -> bool:
        """Gives a version the result of an earlier scan, or of giving it up, if there is one."""
        attempts = attempts_at(self._attempts(key))
        if (self._place(key) / OUTCOME_FILE).is_file():
            self._finish(self._maker.judged(line, self._place(key), attempts))
        elif attempts.hopeless:
            reason = "look at the model, or give it more memory, and use `--again`"
            self._finish(self._maker.given_up(line, key, attempts, reason))
        else:
            return False
        return True

    def _settle(self, ended: Ended) -> Sequence[Line]:
        """Writes the results of a scan that ended; the versions that are to be tried again."""
        flight = self._flying.pop(ended.key)
        note = self._attempts(ended.key)
        try:
            self._note(ended, note)
            if ended.kind == "done":
                self._away_since, self._failures = None, 0
                self._keep_files(ended)
                for line in flight.lines:
                    result = self._maker.judged(line, self._place(ended.key), attempts_at(note))
                    self._finish(result)
                return ()
            return self._not_done(ended, flight)
        finally:
            flight.lock.release()
            self._inputs.release(flight.model)

    def _note(self, ended: Ended, note: Path) -> None:
        """Counts deaths elsewhere: those on this machine are noted in advance."""
        if not self._executor.shares_machine:
            note_death(note, died=ended.kind == "died")

    def _not_done(self, ended: Ended, flight: _Flight) -> Sequence[Line]:
        if ended.kind == "died":
            logger.warning("%s: %s", flight.lines[0].source, ended.reason)
            attempts = attempts_at(self._attempts(ended.key))
            if not attempts.hopeless:
                return flight.lines
            for line in flight.lines:
                self._finish(self._maker.given_up(line, ended.key, attempts, ended.reason))
            return ()
        if ended.kind == "server":
            return [
                each for each in flight.lines if self._put_off(each, RegistryError(ended.reason))
            ]
        if ended.kind == "lost":
            self._lost[ended.key] = self._lost.get(ended.key, 0) + 1
            if self._lost[ended.key] > LOST:
                for line in flight.lines:
                    self._finish(self._maker.failed(line, ended.reason))
                return ()
            wait = AGAIN_AFTER[0] * 2.0 ** (self._lost[ended.key] - 1)
            self._quiet_until = max(self._quiet_until, time.monotonic() + wait)
            logger.warning("%s: %s; again in %.0f s", flight.lines[0].source, ended.reason, wait)
        return flight.lines

    def _put_off(self, line: Line, error: BanGateError) -> bool:
        """Whether a version is tried again later, as the server is away; else it has failed.

        Raises:
            ServerAway: for too long.
        """
        tries = self._tries[line.id] = self._tries.get(line.id, 0) + 1
        if tries >= TRIES and self._inputs.server_answers():
            self._finish(self._maker.failed(line, str(error)))
            return False
        now = time.monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since > self._options.patience:
            raise ServerAway(
                f"{error}; the server did not answer for {self._options.patience:g} s; what was"
                " judged is kept, so run the same command again"
            ) from error
        self._failures += 1
        first, longest = AGAIN_AFTER
        wait = min(longest, first * 2.0 ** min(self._failures - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
        self._quiet_until = max(self._quiet_until, now + wait)
        logger.warning("%s; again in %.0f s", error, wait)
        return True

    def _keep_files(self, ended: Ended) -> None:
        """Puts what a scan elsewhere made in its place, in one step."""
        if not ended.files:
            return
        draft = self._place(f".{ended.key}")
        draft.mkdir(exist_ok=True)
        for name, content in ended.files.items():
            write_bytes(draft / Path(name).name, content)
        draft.rename(self._place(ended.key))

    def _finish(self, result: Result) -> None:
        write_result(self._options.folder, result)
        self._progress.note(result)

    def _end(self) -> None:
        """Stops what is under way; that is an orderly end."""
        self._executor.stop()
        for flight in self._flying.values():
            flight.lock.release()
        self._flying.clear()

    def _place(self, key: str) -> Path:
        return self._options.folder / SCANS / key

    def _attempts(self, key: str) -> Path:
        return self._options.folder / ATTEMPTS / f"{key}.json"
