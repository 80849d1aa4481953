"""Scans on this machine: as many processes at once as there are cores, each with its share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import psutil

from mlflow_project.sweep.child_process import Children
from mlflow_project.sweep.job import Ended, Job
from pipeline.sweep.attempts import excuse

MEMORY_EACH = 1.5 * 2**30
"""Bytes that a scan of a small model takes; a machine with less runs fewer at once."""


class Executor(Protocol):
    """Where jobs run. `capacity` is how many may be under way, `shares_machine` whether a scan that
    brings its machine down brings this process down, too.
    """

    capacity: int
    shares_machine: bool

    def submit(self, job: Job) -> None:
        """Starts a job, sooner or later."""

    def ended(self, seconds: float) -> Sequence[Ended]:
        """The jobs that ended since the last call; waits for one up to so many seconds."""

    def stop(self) -> None:
        """Ends whatever is under way and waits until nothing of it is left; for the last time."""


def default_workers() -> int:
    """As many as cores that this process may use, if there is memory for so many."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, int(psutil.virtual_memory().available / MEMORY_EACH)))


class Local:
    """An executor of child processes of this machine, which put their files in place themselves."""

    shares_machine = True

    def __init__(self, workers: int, place: Callable[[str], Path], gpus: int = 0) -> None:
        """`place` is where the folder of a key goes; `gpus` are dealt out one to a worker."""
        self.capacity = workers
        self._threads = max(1, default_workers() // workers)
        self._place = place
        self._stop = threading.Event()
        self._children = Children()
        self._gpus = [str(each % gpus) if gpus else "" for each in range(workers)]
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sweep")
        self._running: set[Future[Ended]] = set()

    def submit(self, job: Job) -> None:
        """Starts a job as soon as a worker is free."""
        self._running.add(self._pool.submit(self._run, replace(job, threads=self._threads)))

    def ended(self, seconds: float) -> Sequence[Ended]:
        """The jobs that ended."""
        done, self._running = wait(self._running, seconds, return_when=FIRST_COMPLETED)
        return [each.result() for each in done]

    def stop(self) -> None:
        """Ends the child processes."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        self._children.close()

    def _run(self, job: Job) -> Ended:
        if self._stop.is_set():
            return Ended(key=job.key, kind="stopped")
        gpu = self._gpus.pop()
        try:
            place = self._place(job.key)
            ended = self._children.run(replace(job, gpu=gpu), place, self._stop)
        finally:
            self._gpus.append(gpu)
        if ended.kind != "died" and job.attempts:
            excuse(Path(job.attempts))
        return ended
