"""Runs the queued gates, one after another, each as a process of its own."""

from __future__ import annotations

import logging
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

import psutil

from mlflow_project.listener.config import GATE_COMMAND, ListenConfig
from mlflow_project.listener.job_queue import Job, JobQueue
from pipeline.printable import printable

LOOKS_EVERY = 0.5  # seconds
ENDS_WITHIN = 10.0  # seconds that a process gets between SIGTERM and SIGKILL
LONGEST_BACKOFF = 3600.0  # seconds
LONGEST_LINE = 2000  # characters that are kept of a gate's last line
SERVER_AWAY = 4  # the exit code of a gate that does not reach its server

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the process of a gate ended; `said` is its last line.

    Without a code it was stopped, and `said` is why.
    """

    code: int | None
    said: str

    @property
    def may_succeed_later(self) -> bool:
        """Whether no server answered, or it was stopped or killed: nothing about the model."""
        return self.code is None or self.code == SERVER_AWAY or self.code < 0


class Worker:
    """Takes jobs from the queue until it is stopped."""

    def __init__(self, queue: JobQueue, config: ListenConfig) -> None:
        self._queue = queue
        self._config = config
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Works in a thread while the block runs; then stops the gate that runs and queues it."""
        self._resume()
        thread = threading.Thread(target=self._work, name="gates")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _resume(self) -> None:
        """Queues the jobs that ran when the last listener died, and ends their processes."""
        for job in self._queue.jobs("running"):
            _end_orphan(job)
            self._queue.finish(job, "queued", code=None, said="the listener died; queued again")
            logger.warning("%s: the listener died during its gate; queued again", job.target.uri)

    def _work(self) -> None:
        while not self._stop.is_set():
            if job := self._queue.claim(time.time()):
                self._settle(job, self._gate(job))
            else:
                self._stop.wait(LOOKS_EVERY)

    def _gate(self, job: Job) -> Ended:
        """Starts the gate of one model version and waits until it ended or must end."""
        gate = self._config.gate_for(job.name)
        if gate is None:
            return Ended(code=2, said=f"[models.{job.name!r}] is gone from the configuration")
        logger.info("%s: gate starts, attempt %d", job.target.uri, job.attempts)
        command = [*(self._config.settings.command or GATE_COMMAND), *gate.arguments(job.target)]
        with tempfile.TemporaryFile() as output:
            try:
                process = psutil.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, start_new_session=True
                )
            except (OSError, ValueError) as error:
                return Ended(code=2, said=f"`{command[0]}` cannot be started ({error})")
            self._queue.started(job, pid=process.pid, born=process.create_time())
            stopped = self._wait(process)
            return Ended(
                code=None if stopped else process.returncode, said=stopped or _last_line(output)
            )

    def _wait(self, process: psutil.Popen) -> str:
        """Waits for the end of a process; why it had to be ended, or the empty text."""
        limit = self._config.settings.gate_seconds
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and not self._stop.is_set():
            with suppress(psutil.TimeoutExpired):
                process.wait(LOOKS_EVERY)
                return ""
        end_tree(process)
        return "the listener stopped" if self._stop.is_set() else f"took more than {limit:g} s"

    def _settle(self, job: Job, ended: Ended) -> None:
        """Records an end for good, or queues the job again."""
        if ended.code is None and self._stop.is_set():
            self._again(job, ended, wait=0.0, attempts=job.attempts - 1)
        elif not ended.may_succeed_later:
            self._queue.finish(job, "done", code=ended.code, said=ended.said)
        elif job.attempts < self._config.settings.attempts:
            wait = self._config.settings.backoff * 2.0 ** (job.attempts - 1)
            self._again(job, ended, wait=min(wait, LONGEST_BACKOFF), attempts=job.attempts)
        else:
            self._queue.finish(job, "given up", code=ended.code, said=ended.said)
        logger.info("%s: exit %s: %s", job.target.uri, ended.code, ended.said)

    def _again(self, job: Job, ended: Ended, *, wait: float, attempts: int) -> None:
        self._queue.postpone(job, due=time.time() + wait, attempts=attempts)
        self._queue.finish(job, "queued", code=ended.code, said=ended.said)


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


def _end_orphan(job: Job) -> None:
    """Ends the process that ran a job, unless another process has its number by now."""
    if job.pid is None:
        return
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(job.pid)
        if process.create_time() == job.born:
            end_tree(process)


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").strip().splitlines()
    return printable(lines[-1])[:LONGEST_LINE] if lines else ""
