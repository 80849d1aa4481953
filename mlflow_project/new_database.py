"""Makes the tables of a new database once, however many scans begin on it together."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext
from urllib.parse import urlsplit

import mlflow
from filelock import FileLock

from mlflow_project.home import cache_folder

MADE_WITHIN = 120  # seconds


def make_tables(uri: str) -> None:
    """Lets MLflow open a database, and make its tables, while no other process of ours does.

    Raises:
        TimeoutError: another process has been at it for two minutes.
        MlflowException: the database cannot be opened.
    """
    if urlsplit(uri).scheme not in ("http", "https"):
        with _alone(uri):
            mlflow.MlflowClient().search_experiments(max_results=1)


def _alone(uri: str) -> AbstractContextManager[object]:
    """A lock that all processes of this user have for a database, if there is a place for it."""
    lock = cache_folder() / "locks" / f"{hashlib.sha256(uri.encode()).hexdigest()}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return nullcontext()
    return FileLock(lock, timeout=MADE_WITHIN)
