"""Child processes that do jobs, one after another, and of which nothing is left running.

A process takes seconds to start, most of a brief scan, so one that is idle gets the next job. What
dies of a job takes no other job with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil

from mlflow_project.listener.worker import end_tree
from mlflow_project.sweep.job import OUTCOME_FILE, Ended, Job
from pipeline.printable import printable
from pipeline.sweep.attempts import begin

LOOKS_EVERY = 0.05  # seconds
ENDS_WITHIN = 20.0  # seconds that an idle process gets to leave
MOST_JOBS = 50
"""Jobs of one process, so that what it may not have given back does not add up."""
SERVER_AWAY = 4  # the exit code of a child that does not reach its server
LONGEST_REASON = 500  # characters
COMMAND = (sys.executable, "-m", "mlflow_project.cli.sweep_child")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Children:
    """The child processes of one parent, of which the idle ones wait for jobs; for any thread."""

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._lock = threading.Lock()

    def run(self, job: Job, target: Path, stop: threading.Event) -> Ended:
        """Does a job in a process that does nothing else meanwhile, and makes the folder `target`.

        Its death is noted in advance, where the job names a file for that. It is ended if it takes
        longer than it may, or where `stop` is set.
        """
        if job.attempts:
            begin(Path(job.attempts))
        child = self._taken(_environment(job))
        try:
            stopped = child.work_on(job, target, stop)
            ended = _ended(job, target, child.process.poll(), stopped, child.last_line())
        except BaseException:
            child.end()
            raise
        self._back(child, fit=ended.kind == "done" and not stop.is_set())
        return ended

    def close(self) -> None:
        """Ends those that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.leave()

    def _taken(self, environment: dict[str, str]) -> _Child:
        """An idle process with this environment, or a new one."""
        with self._lock:
            for child in self._idle:
                if child.environment == environment and child.process.poll() is None:
                    self._idle.remove(child)
                    return child
        return _Child(environment)

    def _back(self, child: _Child, *, fit: bool) -> None:
        if not fit:
            child.end()
        elif child.jobs >= MOST_JOBS:
            child.leave()
        else:
            with self._lock:
                self._idle.append(child)


class _Child:
    """One process, what it says, and how many jobs it got."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.jobs = 0
        self._folder = tempfile.TemporaryDirectory(prefix="ban-gate-")
        self._log = Path(self._folder.name, "log")
        with self._log.open("wb") as output:
            self.process = psutil.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )

    def work_on(self, job: Job, target: Path, stop: threading.Event) -> str:
        """Waits until a job is done, or the process is gone; why it must be ended, or nothing."""
        self.jobs += 1
        self._say({"job": asdict(job), "target": str(target)})
        deadline = time.monotonic() + job.seconds
        while time.monotonic() < deadline:
            if stop.is_set():
                return "stopped"
            if (target / OUTCOME_FILE).is_file():
                return ""
            with suppress(psutil.TimeoutExpired):
                self.process.wait(LOOKS_EVERY)
                return ""
        return f"took more than {job.seconds:g} s"

    def last_line(self) -> str:
        """The last thing it said."""
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - 20_000))
            lines = file.read().decode(errors="replace").strip().splitlines()
        return printable(lines[-1])[:LONGEST_REASON] if lines else "it said nothing"

    def leave(self) -> None:
        """Lets it end by itself."""
        self._say(None)
        with suppress(psutil.TimeoutExpired):
            self.process.wait(ENDS_WITHIN)
        self.end()

    def end(self) -> None:
        """Ends it with all it started."""
        end_tree(self.process)
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self._folder.cleanup()

    def _say(self, what: object) -> None:
        with suppress(BrokenPipeError):  # it is gone, which is seen to by whoever waits for it
            self.process.stdin.write(json.dumps(what).encode() + b"\n")
            self.process.stdin.flush()


def _ended(job: Job, target: Path, code: int | None, stopped: str, said: str) -> Ended:
    if (target / OUTCOME_FILE).is_file():
        return Ended(key=job.key, kind="done")
    if stopped == "stopped":
        return Ended(key=job.key, kind="stopped")
    if stopped:
        return Ended(key=job.key, kind="died", reason=f"the scan {stopped}")
    if code == SERVER_AWAY:
        return Ended(key=job.key, kind="server", reason=said)
    if code is not None and code > 128:  # a signal that the child heard was meant for the sweep
        return Ended(key=job.key, kind="stopped")
    how = f"signal {-code}" if code is not None and code < 0 else f"code {code}"
    return Ended(key=job.key, kind="died", reason=f"the scan's process ended with {how}: {said}")


def _environment(job: Job) -> dict[str, str]:
    settings = dict.fromkeys(THREADS, str(job.threads))
    if job.gpu:
        settings["CUDA_VISIBLE_DEVICES"] = job.gpu
    return {**os.environ, **settings}
