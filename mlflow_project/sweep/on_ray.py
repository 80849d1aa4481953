"""Scans on a Ray cluster: one task each, which starts the same child process as here.

The driver reads files and talks to the server; they travel by Ray's object store, so a machine of
the cluster needs ban-gate and nothing else. What a task makes travels back the same way.
"""

from __future__ import annotations

import io
import logging
import tarfile
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlflow_project.ray_cluster import first_line, join, ray_itself, signals_unwrapped
from mlflow_project.sweep.child_process import Children
from mlflow_project.sweep.job import Ended, Job
from stages.errors import ConfigError

AHEAD = 2
"""Tasks under way for each that can run at once, so that none waits for its files."""
ENDS_WITHIN = 20.0  # seconds that tasks get to end their processes

logger = logging.getLogger(__name__)

_children = Children()
"""Those of a worker of the cluster, and gone with it."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one scan asks a cluster for: cores, GPUs, and bytes of memory, 0 for no word of it."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0


class OnRay:
    """An executor of tasks of a Ray cluster, which it joins or, without an address, starts."""

    shares_machine = False

    def __init__(self, address: str | None, resources: Resources) -> None:
        """`address` as Ray takes it; None takes `RAY_ADDRESS`, else starts a cluster here.

        Raises:
            ConfigError: Ray is not installed, or there is no such cluster, or it has no room.
        """
        self._ray = ray_itself()
        self._resources = resources
        join(self._ray, address)
        options: dict[str, Any] = {"num_cpus": resources.cpus, "num_gpus": resources.gpus}
        if resources.memory:
            options["memory"] = resources.memory
        # Started again by the driver, which knows whether a scan or its machine is to blame.
        self._judge = self._ray.remote(max_retries=0, **options)(_judge)
        self._shared: dict[str, Any] = {}
        self._running: dict[Any, Job] = {}
        self.capacity = AHEAD * self._at_once()

    def submit(self, job: Job) -> None:
        """Asks the cluster for a task."""
        model = Path(job.model) if job.gate is None else None
        samples = Path(job.samples)
        files = [
            self._put(model, keep=False) if model else None,
            self._put(samples) if samples.exists() else None,
            *(self._put(Path(each)) for each in job.references),
        ]
        names = Path(job.class_names) if job.class_names else None
        threads = max(1, int(self._resources.cpus))
        task = self._judge.remote(
            replace(job, threads=threads), self._put(names) if names else None, *files
        )
        self._running[task] = job

    def ended(self, seconds: float) -> Sequence[Ended]:
        """The tasks that ended."""
        if not self._running:
            return ()
        with signals_unwrapped():
            ready, _ = self._ray.wait(
                list(self._running), num_returns=1, timeout=seconds, fetch_local=False
            )
            return [self._of(task, self._running.pop(task)) for task in ready]

    def stop(self) -> None:
        """Cancels all tasks, which end their child processes, and leaves the cluster.

        Ray ends the workers of tasks that take too long over it, and with them their children.
        """
        tasks = list(self._running)
        for task in tasks:
            self._ray.cancel(task, force=False)
        if tasks:
            self._ray.wait(tasks, num_returns=len(tasks), timeout=ENDS_WITHIN, fetch_local=False)
        self._running.clear()
        self._ray.shutdown()

    def _of(self, task: Any, job: Job) -> Ended:
        errors = self._ray.exceptions
        try:
            ended: Ended = self._ray.get(task)
        except errors.OutOfMemoryError as error:  # whoever took it: Ray kills the youngest task
            return Ended(key=job.key, kind="lost", reason=first_line(error))
        except errors.WorkerCrashedError as error:
            return Ended(key=job.key, kind="died", reason=first_line(error))
        except errors.RayTaskError as error:  # as of our own code there: no fault of the model
            return Ended(key=job.key, kind="lost", reason=first_line(error))
        except errors.RayError as error:  # the machine or what lay there is gone
            return Ended(key=job.key, kind="lost", reason=first_line(error))
        return ended

    def _put(self, path: Path, *, keep: bool = True) -> Any:
        """A file or folder in the object store; what many scans share is put there once."""
        if not keep:
            return self._ray.put(_packed(path))
        if str(path) not in self._shared:
            self._shared[str(path)] = self._ray.put(_packed(path))
        return self._shared[str(path)]

    def _at_once(self) -> int:
        """How many tasks the cluster can run at once.

        Raises:
            ConfigError: none.
        """
        there = self._ray.cluster_resources()
        asked = {
            "CPU": self._resources.cpus,
            "GPU": self._resources.gpus,
            "memory": self._resources.memory,
        }
        room = min(int(there.get(name, 0) // each) for name, each in asked.items() if each)
        if room < 1:
            self._ray.shutdown()
            raise ConfigError(
                f"the Ray cluster has {there.get('CPU', 0):g} cores and"
                f" {there.get('GPU', 0):g} GPUs, and one scan asks for {self._resources.cpus:g} and"
                f" {self._resources.gpus:g}; ask for less, or add machines"
            )
        return room


def _judge(
    job: Job, names: bytes | None, model: bytes | None, samples: bytes | None, *others: bytes
) -> Ended:
    """The task: unpacks what it was given, runs the child process, and packs what that made."""
    stop = threading.Event()
    with tempfile.TemporaryDirectory(prefix="ban-gate-") as name:
        folder = Path(name)
        local = replace(
            job,
            model=str(_unpacked(model, folder / "model")) if model else job.model,
            samples=str(_unpacked(samples, folder / "samples")) if samples else job.samples,
            class_names=str(_unpacked(names, folder / "names")) if names else "",
            references=tuple(
                str(_unpacked(each, folder / f"reference-{number}"))
                for number, each in enumerate(others)
            ),
        )
        target = folder / job.key
        try:
            ended = _children.run(local, target, stop)
        except KeyboardInterrupt:  # so Ray cancels a task, whose process is ended by now
            return Ended(key=job.key, kind="stopped")
        files = {each.name: each.read_bytes() for each in target.glob("*") if each.is_file()}
        return replace(ended, files=files)


def _packed(path: Path) -> bytes:
    """A file or folder as the bytes of a tar archive, under its own name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(path, arcname=path.name)
    return buffer.getvalue()


def _unpacked(content: bytes, folder: Path) -> Path:
    """Where the file or folder lies that an archive held."""
    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    (inside,) = folder.iterdir()
    return inside
