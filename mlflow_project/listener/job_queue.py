"""The gates that wait to be run, in a SQLite file that outlives any crash.

A delivery is remembered and its job queued in one transaction, before it is answered. At most one
job per model version is queued.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlflow_project.listener.webhook import Delivery, ModelVersionName
from stages.errors import ConfigError

Accepted = Literal["queued", "already queued", "gated before", "known delivery", "ignored"]
State = Literal["queued", "running", "done", "given up"]
ENDED = ("done", "given up")
LOCKED_SECONDS = 30.0  # how long one process waits for another
SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_by_age ON deliveries (at);
CREATE TABLE IF NOT EXISTS gates (
    id INTEGER PRIMARY KEY, workspace TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0, since REAL NOT NULL, due REAL NOT NULL,
    changed REAL NOT NULL, pid INTEGER, born REAL, exit_code INTEGER, said TEXT NOT NULL DEFAULT '',
    told INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS one_queued ON gates (workspace, name, version)
    WHERE state = 'queued';
CREATE INDEX IF NOT EXISTS by_version ON gates (workspace, name, version);
CREATE INDEX IF NOT EXISTS by_state ON gates (state, due);
"""
CLAIM = """
UPDATE gates SET state = 'running', attempts = attempts + 1, changed = ?, exit_code = NULL
WHERE id = (SELECT id FROM gates WHERE state = 'queued' AND due <= ? ORDER BY due, id LIMIT 1)
RETURNING *
"""
COLUMNS = (
    "id, workspace, name, version, state, attempts, crashes, since, due, changed, pid, born,"
    " exit_code, said, told"
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One gate: of which model version, its state, and how it ended.

    `attempts` counts the starts, `crashes` those of them that ended with no word on the model or
    its server. `said` is the last line of the gate, or why it did not run. `since`, `due`,
    `changed` and `born` are unix times in seconds: when it was asked for, when it may start, when
    its state changed, and when the process `pid` that runs it was started. `told` says that the
    version carries the note that it was given up.
    """

    id: int
    workspace: str
    name: str
    version: int
    state: State
    attempts: int
    crashes: int
    since: float
    due: float
    changed: float
    pid: int | None
    born: float | None
    exit_code: int | None
    said: str
    told: int

    @property
    def target(self) -> ModelVersionName:
        """The model version to gate."""
        return ModelVersionName(name=self.name, version=self.version, workspace=self.workspace)


class JobQueue:
    """The queue in one file; every call is one transaction and may come from any thread."""

    def __init__(self, path: Path) -> None:
        self._turn = threading.Lock()
        self.path = path
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

        A delivery that came before changes nothing. A version whose gate has ended is gated again
        only if the registry made it anew, which `add_missing` finds out. When this returns, the
        disk has it.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM deliveries WHERE at < ?", (now - keep,))
            if not _insert(connection, "deliveries (id, at)", (delivery.id, now)):
                return "known delivery"
            if delivery.created is None or not wanted:
                return "ignored"
            last = _last(connection, delivery.created)
            if last is not None and last.state == "done":
                return "gated before"
            if last is not None and last.state == "running":
                return "already queued"
            return "queued" if _queue(connection, delivery.created, now) else "already queued"

    def add_missing(self, found: Iterable[tuple[ModelVersionName, float]], now: float) -> int:
        """Queues versions that carry no verdict, each with the unix time of its making, unless
        their gate waits, runs or has ended; how many were queued.

        An ended gate is no reason if it was that of an earlier version of the same number, or if
        it was given up and somebody has taken the note of this away.
        """
        with self._transaction() as connection:
            return sum(
                _queue(connection, target, now)
                for target, made in found
                if not _is_settled(connection, target, made)
            )

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

    def postpone(self, job: Job, *, due: float, attempts: int, crashes: int) -> None:
        """Sets when a job may start, and the numbers of its starts and crashes."""
        self._change(job, "due = ?, attempts = ?, crashes = ?", (due, attempts, crashes))

    def told(self, job: Job) -> None:
        """Records that the version carries the note that its gate was given up."""
        self._change(job, "told = 1", ())

    def jobs(self, state: State | None = None) -> list[Job]:
        """All jobs, or those in one state, oldest first."""
        query = f"SELECT {COLUMNS} FROM gates WHERE ? IS NULL OR state = ? ORDER BY id"  # noqa: S608
        with self._transaction() as connection:
            return [_job(row) for row in connection.execute(query, (state, state))]

    def close(self) -> None:
        """Closes the file; the queue is of no use afterwards."""
        self._connection.close()

    def _change(self, job: Job, change: str, values: tuple[object, ...]) -> None:
        with self._transaction() as connection:
            connection.execute(
                f"UPDATE OR REPLACE gates SET {change} WHERE id = ?",  # noqa: S608 (our own words)
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


def _queue(connection: sqlite3.Connection, target: ModelVersionName, now: float) -> bool:
    """Whether the version was not queued and is now."""
    row = (target.workspace, target.name, target.version, now, now, now)
    return _insert(connection, "gates (workspace, name, version, since, due, changed)", row)


def _is_settled(connection: sqlite3.Connection, target: ModelVersionName, made: float) -> bool:
    """Whether there is a job for this version that waits, runs, or has ended for good."""
    job = _last(connection, target)
    if job is None:
        return False
    return job.state not in ENDED or (job.changed >= made and not job.told)


def _last(connection: sqlite3.Connection, target: ModelVersionName) -> Job | None:
    """The newest job for a version."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM gates WHERE workspace = ? AND name = ? AND version = ?"  # noqa: S608
        " ORDER BY id DESC LIMIT 1",
        (target.workspace, target.name, target.version),
    )
    return next((_job(row) for row in rows), None)


def _insert(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> bool:
    """Whether a row was new and is now there."""
    marks = ", ".join("?" * len(values))
    into = f"INSERT OR IGNORE INTO {where} VALUES ({marks})"  # noqa: S608 (our own words)
    return connection.execute(into, values).rowcount == 1


def _job(row: tuple[object, ...]) -> Job:
    return Job(**dict(zip(COLUMNS.split(", "), row, strict=True)))  # type: ignore[arg-type] # SQL
