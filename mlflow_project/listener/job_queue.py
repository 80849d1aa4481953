"""The gates that wait to be run, in a SQLite file that outlives any crash.

A delivery is remembered and its job queued in one transaction, before it is answered. At most one
job per model version is queued; a job that was running when the process died is queued again.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlflow_project.listener.webhook import Delivery, ModelVersionName
from stages.errors import ConfigError

Accepted = Literal["queued", "already queued", "known delivery", "ignored"]
State = Literal["queued", "running", "done", "given up"]
LOCKED_SECONDS = 30.0  # how long one process waits for another
SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_by_age ON deliveries (at);
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, changed REAL NOT NULL,
    pid INTEGER, born REAL, exit_code INTEGER, said TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX IF NOT EXISTS one_queued ON jobs (name, version) WHERE state = 'queued';
"""
CLAIM = """
UPDATE jobs SET state = 'running', attempts = attempts + 1, changed = ?, exit_code = NULL, said = ''
WHERE id = (SELECT id FROM jobs WHERE state = 'queued' AND due <= ? ORDER BY due, id LIMIT 1)
RETURNING *
"""
COLUMNS = "id, name, version, state, attempts, due, changed, pid, born, exit_code, said"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One gate: of which model version, its state, and how it ended.

    `attempts` counts the starts; `said` is the last line of the gate, or why it did not run. `due`,
    `changed` and `born` are unix times in seconds: when it may start, when its state changed, and
    when the process `pid` that runs it was started.
    """

    id: int
    name: str
    version: int
    state: State
    attempts: int
    due: float
    changed: float
    pid: int | None
    born: float | None
    exit_code: int | None
    said: str

    @property
    def target(self) -> ModelVersionName:
        """The model version to gate."""
        return ModelVersionName(name=self.name, version=self.version)


class JobQueue:
    """The queue in one file; every call is one transaction and may come from any thread."""

    def __init__(self, path: Path) -> None:
        self._turn = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=LOCKED_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"the queue `{path}` cannot be opened ({error}); choose a writable `--database`"
            ) from error

    def accept(self, delivery: Delivery, *, wanted: bool, now: float, keep: float) -> Accepted:
        """Remembers a delivery for `keep` seconds and queues its model version, if it is `wanted`.

        A delivery that came before changes nothing. When this returns, the disk has it.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM deliveries WHERE at < ?", (now - keep,))
            if not _insert(connection, "deliveries (id, at)", (delivery.id, now)):
                return "known delivery"
            if delivery.created is None or not wanted:
                return "ignored"
            version = delivery.created
            row = (version.name, version.version, "queued", now, now)
            queued = _insert(connection, "jobs (name, version, state, due, changed)", row)
            return "queued" if queued else "already queued"

    def claim(self, now: float) -> Job | None:
        """The job that waits longest and is due, now in state `running`, or None."""
        with self._transaction() as connection:
            rows = connection.execute(CLAIM, (now, now)).fetchall()
        return _job(rows[0]) if rows else None

    def started(self, job: Job, *, pid: int, born: float) -> None:
        """Records the process that runs a job, so that it can be found after a crash."""
        self._change(job, "pid = ?, born = ?", (pid, born))

    def finish(self, job: Job, state: State, *, code: int | None, said: str) -> None:
        """Records how a job ended, or that it is queued again and why.

        Where a younger job for the same model version is queued, this one takes its place.
        """
        change = "state = ?, exit_code = ?, said = ?, changed = ?, pid = NULL, born = NULL"
        self._change(job, change, (state, code, said, time.time()))

    def postpone(self, job: Job, *, due: float, attempts: int) -> None:
        """Sets when a job may start, and the number of its starts."""
        self._change(job, "due = ?, attempts = ?", (due, attempts))

    def jobs(self, state: State | None = None) -> list[Job]:
        """All jobs, or those in one state, oldest first."""
        query = f"SELECT {COLUMNS} FROM jobs WHERE ? IS NULL OR state = ? ORDER BY id"  # noqa: S608
        with self._transaction() as connection:
            return [_job(row) for row in connection.execute(query, (state, state))]

    def close(self) -> None:
        """Closes the file; the queue is of no use afterwards."""
        self._connection.close()

    def _change(self, job: Job, change: str, values: tuple[object, ...]) -> None:
        with self._transaction() as connection:
            connection.execute(
                f"UPDATE OR REPLACE jobs SET {change} WHERE id = ?",  # noqa: S608 (our own words)
                (*values, job.id),
            )

    def _prepare(self) -> None:
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(SCHEMA)
        except sqlite3.Error:
            self.close()
            raise

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._turn, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection


def jobs_in(path: Path) -> list[Job]:
    """All jobs in the file of a queue, oldest first.

    Raises:
        ConfigError: there is no such file, or it holds no queue.
    """
    if not path.exists():
        raise ConfigError(f"there is no queue at `{path}`; give the listener's `--database`")
    with closing(JobQueue(path)) as queue:
        return queue.jobs()


def _insert(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> bool:
    """Whether a row was new and is now there."""
    marks = ", ".join("?" * len(values))
    into = f"INSERT OR IGNORE INTO {where} VALUES ({marks})"  # noqa: S608 (our own words)
    return connection.execute(into, values).rowcount == 1


def _job(row: tuple[object, ...]) -> Job:
    return Job(**dict(zip(COLUMNS.split(", "), row, strict=True)))  # type: ignore[arg-type] # SQL
