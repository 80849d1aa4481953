"""The queue keeps each delivery once, each waiting model version once, and all of it on disk."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mlflow_project.listener.job_queue import JobQueue, jobs_in
from mlflow_project.listener.webhook import Delivery, ModelVersionName
from stages.errors import ConfigError

Accept = Callable[..., str]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    """An empty queue."""
    with closing(JobQueue(tmp_path / "listen.db")) as queue:
        yield queue


@pytest.fixture
def accept(queue: JobQueue) -> Accept:
    """Hands a delivery about one version of `net` to the queue."""

    def run(identifier: str, version: int = 1, *, wanted: bool = True, now: float = 0.0) -> str:
        created = ModelVersionName(name="net", version=version)
        delivery = Delivery(id=identifier, created=created)
        return queue.accept(delivery, wanted=wanted, now=now, keep=100.0)

    return run


def test_a_delivery_counts_once(queue: JobQueue, accept: Accept) -> None:
    """The same id changes nothing, whatever became of its job."""
    first, again = accept("a"), accept("a")
    job = queue.claim(1.0)
    assert job is not None
    queue.finish(job, "done", code=0, said="")

    assert (first, again, accept("a")) == ("queued", "known delivery", "known delivery")
    assert len(queue.jobs()) == 1


def test_deliveries_about_one_version_share_a_job(queue: JobQueue, accept: Accept) -> None:
    """While it waits; one that comes when the gate runs asks for another gate."""
    assert [accept("a"), accept("b"), accept("c", 2)] == ["queued", "already queued", "queued"]
    queue.claim(1.0)

    assert accept("d") == "queued"
    assert [(job.state, job.version) for job in queue.jobs()] == [
        ("running", 1),
        ("queued", 2),
        ("queued", 1),
    ]


def test_unwanted_models_leave_no_job(queue: JobQueue, accept: Accept) -> None:
    """Their delivery is known, and that is all."""
    assert [accept("a", wanted=False), accept("a")] == ["ignored", "known delivery"]
    assert queue.accept(Delivery(id="b", created=None), wanted=True, now=0, keep=1) == "ignored"
    assert queue.jobs() == []


def test_deliveries_are_forgotten_when_they_are_too_old_to_come_again(accept: Accept) -> None:
    """So the file does not grow for ever; until then they are remembered."""
    assert accept("a", now=0.0) == "queued"
    assert accept("a", now=100.0) == "known delivery"
    assert accept("a", now=100.1) == "already queued"


def test_the_oldest_due_job_is_claimed_once(queue: JobQueue, accept: Accept) -> None:
    """Among many claimants each job goes to one, in the order of arrival."""
    for version in range(1, 21):
        accept(str(version), version, now=float(version))

    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: queue.claim(15.0), range(30)))

    versions = [job.version for job in claimed if job]
    assert sorted(versions) == list(range(1, 16))
    assert all(job.attempts == 1 for job in claimed if job)


def test_a_postponed_job_waits(queue: JobQueue, accept: Accept) -> None:
    """It is not claimed before it is due, and keeps its count of attempts."""
    accept("a")
    job = queue.claim(1.0)
    assert job is not None
    queue.postpone(job, due=50.0, attempts=job.attempts)
    queue.finish(job, "queued", code=4, said="no server")

    assert queue.claim(49.0) is None
    again = queue.claim(50.0)
    assert again is not None
    assert (again.id, again.attempts, again.exit_code) == (job.id, 2, None)


def test_a_job_that_comes_back_replaces_a_younger_one(queue: JobQueue, accept: Accept) -> None:
    """Otherwise one version would wait twice."""
    accept("a")
    job = queue.claim(1.0)
    assert job is not None
    accept("b")

    queue.finish(job, "queued", code=None, said="")

    assert [job.id] == [each.id for each in queue.jobs()]


def test_the_end_is_kept(tmp_path: Path, queue: JobQueue, accept: Accept) -> None:
    """State, code, last line and time of a job, for whoever opens the file later."""
    accept("a")
    job = queue.claim(1.0)
    assert job is not None
    queue.started(job, pid=7, born=8.0)
    running = queue.jobs("running")[0]
    queue.finish(job, "done", code=1, said="block  net/1")

    (kept,) = jobs_in(tmp_path / "listen.db")
    assert (running.pid, running.born) == (7, 8.0)
    assert (kept.state, kept.exit_code, kept.said, kept.pid) == ("done", 1, "block  net/1", None)
    assert abs(kept.changed - time.time()) < 60
    assert queue.jobs("running") == []


def test_a_queue_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    """No file, no folder, no database."""
    (tmp_path / "note.txt").write_text("no database, but text" * 100)

    with pytest.raises(ConfigError, match="there is no queue at"):
        jobs_in(tmp_path / "listen.db")
    for path in (tmp_path / "note.txt", tmp_path / "note.txt" / "listen.db"):
        with pytest.raises(ConfigError, match="cannot be opened"):
            JobQueue(path)


def test_a_failed_write_is_no_acceptance(tmp_path: Path, accept: Accept) -> None:
    """If the job cannot be kept, neither is the delivery: sent again, it is new."""
    with closing(sqlite3.connect(tmp_path / "listen.db")) as connection:
        connection.execute("ALTER TABLE jobs RENAME TO gone")
        with pytest.raises(sqlite3.OperationalError):
            accept("a")
        connection.execute("ALTER TABLE gone RENAME TO jobs")

    assert accept("a") == "queued"
