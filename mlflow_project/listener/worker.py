"""Runs the queued gates, one after another, each as a process of its own.

A gate outlives a listener that is killed: the next one waits for it, or reads how it ended.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from mlflow_project.listener.config import (
    GATE_COMMAND,
    SECRET_VARIABLE,
    GateSettings,
    ListenConfig,
)
from mlflow_project.listener.gate_process import ANSWERS, CANNOT_START, ERR, End, read_end
from mlflow_project.listener.job_queue import Job, JobQueue
from pipeline.redaction import redacted

LOOKS_EVERY = 0.5  # seconds
FIRST_LOOK = 0.05  # seconds
ENDS_WITHIN = 10.0  # seconds that a process gets between SIGTERM and SIGKILL
LONGEST_BACKOFF = 3600.0  # seconds
SPREAD = 0.25  # of a pause: so that gates which failed together do not come back together
OUTAGES = (CANNOT_START, 4)
"""Exit codes that say nothing of the model: a wrong setting, and a server or storage that is away.
"""

logger = logging.getLogger(__name__)


class Worker:
    """Takes jobs from the queue until it is stopped."""

    def __init__(self, queue: JobQueue, config: ListenConfig) -> None:
        self._queue = queue
        self._config = config
        self._stop = threading.Event()
        self._folders = queue.path.with_name(f"{queue.path.name}.gates")
        self._thread = threading.Thread(target=self._work, name="gates")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Works in a thread while the block runs; then stops the gate that runs and queues it."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    def _work(self) -> None:
        for left in self._queue.jobs("running"):
            self._resume(left)
        while not self._stop.is_set():
            if job := self._queue.claim(time.time()):
                self._settle(job, self._gate(job))
            else:
                self._stop.wait(LOOKS_EVERY)

    def _resume(self, job: Job) -> None:
        """Waits for a gate that the last listener started, if it still runs, else looks how it
        ended; one that was killed as well is queued again.
        """
        process = _left_behind(job)
        if process is not None:
            logger.warning("%s: goes on with the gate of the last listener", job.target)
            self._settle(job, self._end_of(process, job))
        elif end := read_end(self._folder(job)):
            self._settle(job, end)
        else:
            self._queue.finish(job, "queued", code=None, said="the listener died; queued again")
            logger.warning("%s: the listener died during its gate; queued again", job.target)

    def _gate(self, job: Job) -> End:
        """Starts the gate of one model version and waits until it ended or must end."""
        gate = self._config.gate_for(job.target)
        if gate is None:
            said = f"[models.{job.name!r}] is gone from the configuration"
            return End(code=CANNOT_START, said=said)
        folder = self._folder(job)
        logger.info("%s: gate starts, attempt %d, in %s", job.target, job.attempts, folder)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
            process = psutil.Popen(
                self._command(job, gate, folder),
                env=_environment(job),
                start_new_session=True,
            )
        except OSError as error:
            return End(code=None, said=f"the gate cannot be started ({error})")
        self._queue.started(job, pid=process.pid, born=process.create_time())
        return self._end_of(process, job)

    def _command(self, job: Job, gate: GateSettings, folder: Path) -> list[str]:
        outer = [sys.executable, "-m", "mlflow_project.listener.gate_process", str(folder)]
        command = self._config.settings.command or GATE_COMMAND
        return [*outer, *command, *gate.arguments(job.target)]

    def _end_of(self, process: psutil.Process, job: Job) -> End:
        """How a gate ended, once it has; one that takes too long, or is in the way, is ended."""
        limit = self._config.settings.gate_seconds
        deadline, pause = process.create_time() + limit, FIRST_LOOK
        while time.time() < deadline and not self._stop.is_set():
            with suppress(psutil.TimeoutExpired):
                process.wait(pause)
                return read_end(self._folder(job)) or _killed(process.pid)
            pause = min(2 * pause, LOOKS_EVERY)
        end_tree(process)
        said = "the listener stopped" if self._stop.is_set() else f"took more than {limit:g} s"
        return End(code=None, said=said)

    def _settle(self, job: Job, end: End) -> None:
        """Records an end for good, or queues the job again."""
        settings, stopped = self._config.settings, self._stop.is_set()
        crashed = end.code not in (*ANSWERS, *OUTAGES)
        crashes = job.crashes + crashed
        late = time.time() - job.since > settings.give_up_after
        if end.code in ANSWERS:
            self._queue.finish(job, "done", code=end.code, said=end.said)
        elif end.code is None and stopped:
            self._again(job, end, wait=0.0, attempts=job.attempts - 1, crashes=job.crashes)
        elif late or crashes >= settings.attempts:
            self._queue.finish(job, "given up", code=end.code, said=end.said)
        else:
            wait = min(settings.backoff * 2.0 ** min(job.attempts - 1, 30), LONGEST_BACKOFF)
            wait *= random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 (no secret)
            self._again(job, end, wait=wait, attempts=job.attempts, crashes=crashes)
        self._report(job, end)

    def _again(self, job: Job, end: End, *, wait: float, attempts: int, crashes: int) -> None:
        self._queue.postpone(job, due=time.time() + wait, attempts=attempts, crashes=crashes)
        self._queue.finish(job, "queued", code=end.code, said=end.said)

    def _report(self, job: Job, end: End) -> None:
        """Puts what the gate wrote to stderr into the log, and removes its folder."""
        folder = self._folder(job)
        with suppress(OSError):
            for line in (folder / ERR).read_text(errors="replace").splitlines():
                logger.info("%s: | %s", job.target, redacted(line))
        shutil.rmtree(folder, ignore_errors=True)
        logger.info("%s: exit %s: %s", job.target, end.code, end.said)

    def _folder(self, job: Job) -> Path:
        return self._folders / str(job.id)


def end_tree(process: psutil.Process) -> None:
    """Ends a process and all it started: asks first, then kills."""
    with suppress(psutil.NoSuchProcess):
        family = [*process.children(recursive=True), process]
        for each in reversed(family):
            with suppress(psutil.NoSuchProcess):
                each.terminate()
        _, alive = psutil.wait_procs(family, timeout=ENDS_WITHIN)
        for each in alive:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(alive, timeout=ENDS_WITHIN)


def _killed(leader: int) -> End:
    """Kills what is left of a gate whose outer process was killed."""
    with suppress(ProcessLookupError, PermissionError, AttributeError):
        os.killpg(leader, signal.SIGKILL)
    return End(code=None, said="the gate was killed")


def _left_behind(job: Job) -> psutil.Process | None:
    """The process that runs a job, unless another process has its number by now."""
    if job.pid is None:
        return None
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(job.pid)
        if process.create_time() == job.born and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _environment(job: Job) -> dict[str, str]:
    """That of the listener, without the webhook's secret, in the workspace of the job."""
    chosen = {name: value for name, value in os.environ.items() if name != SECRET_VARIABLE}
    return chosen | ({"MLFLOW_WORKSPACE": job.workspace} if job.workspace else {})
