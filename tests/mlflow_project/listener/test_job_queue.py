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
    """Whether it waits, runs, or has ended: a version is made once."""
    assert [accept("a"), accept("b"), accept("c", 2)] == ["queued", "already queued", "queued"]
    job = queue.claim(1.0)
    assert job is not None
    assert accept("d") == "already queued"
    queue.finish(job, "done", code=0, said="")

    assert accept("e") == "gated before"
    assert [(job.state, job.version) for job in queue.jobs()] == [("done", 1), ("queued", 2)]


def test_models_of_one_name_in_two_workspaces_are_two(queue: JobQueue) -> None:
    """The workspace is part of the key."""
    for workspace in ("", "team-a", "team-b", "team-a"):
        created = ModelVersionName(name="net", version=1, workspace=workspace)
        delivery = Delivery(id=f"{workspace} {len(queue.jobs())}", created=created)
        queue.accept(delivery, wanted=True, now=0.0, keep=1.0)

    assert [str(job.target) for job in queue.jobs()] == [
        "models:/net/1",
        "team-a:models:/net/1",
        "team-b:models:/net/1",
    ]


def test_what_was_never_gated_is_queued_once(queue: JobQueue, accept: Accept) -> None:
    """Not what waits or has ended, unless the registry has made it anew since, or it was given up
    and the note of this is gone.
    """
    for version in (1, 2, 3, 4):
        accept(str(version), version)
    for version, state in ((1, "done"), (2, "done"), (3, "given up")):
        job = queue.claim(1.0)
        assert job is not None
        assert job.version == version
        queue.finish(job, state, code=0, said="")  # type: ignore[arg-type] # a text of the type
    now = time.time()
    made = {1: now - 60, 2: now + 60, 3: now - 60, 4: now - 60, 5: now}
    found = [(ModelVersionName(name="net", version=each), at) for each, at in made.items()]

    assert queue.add_missing(found, now) == 2
    assert queue.add_missing(found, now) == 0
    assert [job.version for job in queue.jobs("queued")] == [4, 2, 5]
    queue.told(queue.jobs("given up")[0])
    assert queue.add_missing(found, now) == 1


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
    queue.postpone(job, due=50.0, attempts=job.attempts, crashes=0)
    queue.finish(job, "queued", code=4, said="no server")

    assert queue.claim(49.0) is None
    again = queue.claim(50.0)
    assert again is not None
    assert (again.id, again.attempts, again.exit_code) == (job.id, 2, None)


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
        connection.execute("ALTER TABLE gates RENAME TO gone")
        with pytest.raises(sqlite3.OperationalError):
            accept("a")
        connection.execute("ALTER TABLE gone RENAME TO gates")

    assert accept("a") == "queued"
