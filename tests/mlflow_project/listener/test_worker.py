"""Each queued gate runs to an end that is recorded, one at a time; only a lost one runs again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from mlflow_project.listener.config import Gates, GateSettings, ListenConfig, ListenSettings
from mlflow_project.listener.job_queue import Job, JobQueue
from mlflow_project.listener.webhook import Delivery, ModelVersionName
from mlflow_project.listener.worker import Worker, end_tree

GATE = """
import subprocess, sys, time
from pathlib import Path
version = sys.argv[1].rpartition("/")[2]
if version == "600":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(__file__).with_name("child").write_text(str(child.pid))
    time.sleep(600)
print("not the last line")
print("ban-gate: the reason of", version, file=sys.stderr)
print("gated", *sys.argv[1:], "\\x1b[2J")
sys.exit(int(version))
"""
Work = Callable[..., Worker]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    """An empty queue."""
    with closing(JobQueue(tmp_path / "listen.db")) as queue:
        yield queue


@pytest.fixture
def worker(tmp_path: Path, queue: JobQueue) -> Work:
    """Makes a worker whose gate is a process that ends with the version it is given as its code.

    Version 600 never ends, and has a child that does not either.
    """
    (tmp_path / "gate.py").write_text(GATE)
    command = (sys.executable, str(tmp_path / "gate.py"))

    def make(**settings: float) -> Worker:
        chosen = ListenSettings(command=command, backoff=0.05, **settings)  # type: ignore[arg-type] # attempts
        gates = {"net": GateSettings(samples="clean.npz", promote="champion")}
        return Worker(queue, ListenConfig(settings=chosen, gates=Gates(models=gates)))

    return make


def _queue(queue: JobQueue, *versions: int, name: str = "net") -> None:
    for version in versions:
        created = ModelVersionName(name=name, version=version)
        delivery = Delivery(id=f"{name} {version}", created=created)
        queue.accept(delivery, wanted=True, now=time.time(), keep=1e9)


def _wait(queue: JobQueue, met: Callable[[list[Job]], bool]) -> list[Job]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if met(jobs := queue.jobs()):
            return jobs
        time.sleep(0.05)
    pytest.fail(f"the queue stayed {queue.jobs()}")


def _ended(jobs: list[Job]) -> bool:
    return all(job.state in ("done", "given up") for job in jobs)


def test_every_answer_is_final_and_an_own_bug_is_tried_as_often_as_allowed(
    queue: JobQueue, worker: Work
) -> None:
    """Pass, block and no verdict are answers; what the gate said is kept."""
    _queue(queue, 1, 3, 70, 256)

    with worker(attempts=3).running():
        jobs = _wait(queue, _ended)

    assert [(job.version, job.exit_code, job.state, job.attempts) for job in jobs] == [
        (1, 1, "done", 1),
        (3, 3, "done", 1),
        (70, 70, "given up", 3),
        (256, 0, "done", 1),  # of a code the system keeps the last eight bits
    ]
    assert jobs[0].said == (r"gated models:/net/1 --samples=clean.npz --promote=champion \x1b[2J")


def test_an_outage_and_a_wrong_setting_are_tried_again_until_it_is_too_late(
    queue: JobQueue, worker: Work
) -> None:
    """With the reason of the last failure, from whatever the gate wrote to stderr."""
    _queue(queue, 2, 4)

    with worker(attempts=1, give_up_after=5.0).running():
        jobs = _wait(queue, _ended)

    assert {job.state for job in jobs} == {"given up"}
    assert all(job.attempts > 1 for job in jobs)
    assert [job.said for job in jobs] == ["the reason of 2", "the reason of 4"]


def test_an_outage_does_not_use_up_the_attempts(queue: JobQueue, worker: Work) -> None:
    """However long it lasts: only what dies on its own is counted."""
    _queue(queue, 4)
    with worker(attempts=1).running():
        (job,) = _wait(queue, lambda jobs: jobs[0].attempts > 4)

    assert (job.crashes, job.state in ("queued", "running")) == (0, True)


def test_a_gate_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, queue: JobQueue, worker: Work
) -> None:
    """It holds up the queue no longer than allowed, and is no verdict."""
    _queue(queue, 600)

    with worker(attempts=1, gate_seconds=1.5).running():
        (job,) = _wait(queue, _ended)

    assert (job.state, job.exit_code, job.said) == ("given up", None, "took more than 1.5 s")
    assert not psutil.pid_exists(int((tmp_path / "child").read_text()))


def test_a_stop_puts_the_gate_back(queue: JobQueue, worker: Work) -> None:
    """As if it had not been started; the next one does not wait for anything."""
    _queue(queue, 600)
    with worker().running():
        (running,) = _wait(queue, lambda jobs: jobs[0].pid is not None)

    (job,) = queue.jobs()
    assert running.pid is not None
    assert not psutil.pid_exists(running.pid)
    assert (job.state, job.attempts, job.said) == ("queued", 0, "the listener stopped")
    assert job.due <= time.time()


def test_a_gate_that_is_killed_runs_again(queue: JobQueue, worker: Work) -> None:
    """A process that died of a signal has said nothing of the model."""
    _queue(queue, 600)
    with worker(attempts=2).running():
        for attempt in (1, 2):
            jobs = _wait(queue, lambda jobs, n=attempt: jobs[0].attempts == n and jobs[0].pid)
            assert jobs[0].pid is not None
            psutil.Process(jobs[0].pid).kill()
        (job,) = _wait(queue, _ended)

    assert (job.state, job.said, job.attempts) == ("given up", "the gate was killed", 2)


def test_a_process_that_only_has_the_number_is_left_alone(queue: JobQueue, worker: Work) -> None:
    """After a crash a number may be another's: what ran the gate is known by its birth as well."""
    _queue(queue, 3)
    job = queue.claim(time.time())
    assert job is not None
    with psutil.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        queue.started(job, pid=stranger.pid, born=stranger.create_time() - 1)

        with worker().running():
            jobs = _wait(queue, _ended)

        assert stranger.is_running()
        end_tree(stranger)
    assert [(job.exit_code, job.attempts) for job in jobs] == [(3, 2)]


def test_a_command_or_a_model_that_is_gone_is_said(queue: JobQueue) -> None:
    """It waits for somebody who mends it; a changed configuration is no crash."""
    settings = ListenSettings(command=("no such command",), backoff=60.0)
    gates = {"net": GateSettings(samples="clean.npz")}
    _queue(queue, 1)
    _queue(queue, 1, name="other")

    with Worker(queue, ListenConfig(settings=settings, gates=Gates(models=gates))).running():
        jobs = _wait(queue, lambda jobs: all(job.exit_code for job in jobs))

    assert [(job.exit_code, job.state) for job in jobs] == [(2, "queued"), (2, "queued")]
    assert "`no such command` cannot be started" in jobs[0].said
    assert "[models.'other'] is gone" in jobs[1].said
