"""Real failures of real clients are told apart: away for now, refused, or our own fault."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import requests
import sqlalchemy
from mlflow.exceptions import MlflowException

from mlflow_project.connection import told_of
from mlflow_project.errors import DiskFull, RegistryError
from mlflow_project.foreign_errors import Foreign, foreign
from tests.support.storage_servers import free_port

boto3 = pytest.importorskip("boto3")


def _caught(call: Callable[[], object]) -> Foreign:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (whatever the client raises)
        call()
    found = foreign(caught.value)
    assert found is not None
    assert "\n" not in found.reason
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that do not try again by themselves."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


def _s3_client(monkeypatch: pytest.MonkeyPatch, *, known: bool) -> object:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-tests") if known else monkeypatch.delenv(name, False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return boto3.session.Session().client(
        "s3", endpoint_url=f"http://127.0.0.1:{free_port()}", region_name="x"
    )


@pytest.mark.usefixtures("impatient")
def test_who_does_not_answer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server, a database and a bucket, each as its own client says it."""
    port = free_port()
    bucket = _s3_client(monkeypatch, known=True)
    database = sqlalchemy.create_engine(f"postgresql+psycopg://me:hidden@127.0.0.1:{port}/x")
    for call in (
        lambda: requests.get(f"http://127.0.0.1:{port}", timeout=5),
        lambda: mlflow.MlflowClient(f"http://127.0.0.1:{port}").get_experiment("0"),
        bucket.list_buckets,  # type: ignore[attr-defined] # no types
        database.connect,
    ):
        found = _caught(call)
        assert found.outage, found
        assert "hidden" not in found.reason


@pytest.mark.usefixtures("impatient")
def test_what_is_refused_stays_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody waits for what no waiting mends."""
    bucket = _s3_client(monkeypatch, known=False)
    store = f"sqlite:///{tmp_path / 'x.db'}"
    for call in (
        bucket.list_buckets,  # type: ignore[attr-defined] # no types
        lambda: sqlalchemy.create_engine(store).connect().execute(sqlalchemy.text("select x")),
        (tmp_path / "gone").read_bytes,
        lambda: _raise(MlflowException("no such thing", error_code=1)),
        lambda: requests.get("nowhere", timeout=5),
    ):
        assert not _caught(call).outage


def test_a_client_that_is_not_installed_names_the_extra() -> None:
    """Whichever package MLflow wants to import."""
    for package, extra in {
        "boto3": "s3",
        "azure.storage.blob": "azure",
        "google.cloud": "gcs",
        "psycopg": "postgres",
    }.items():
        error = ModuleNotFoundError(f"No module named '{package}'", name=package)
        found = foreign(error)
        assert found is not None
        assert found.advice == f"install `ban-gate[{extra}]`"
        assert not found.outage


def test_an_answer_of_the_storage_is_read_by_its_status() -> None:
    """Which botocore, azure and google each keep somewhere else."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 (an extra)

    for status, outage in {503: True, 500: True, 429: True, 403: False, 404: False}.items():
        answer = {
            "Error": {"Code": "Some", "Message": "words"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        found = foreign(ClientError(answer, "GetObject"))
        assert found is not None
        assert found.outage is outage


def test_a_full_disk_names_its_place() -> None:
    """It is this machine's, not the server's, also where a client of MLflow met it."""
    error = OSError(errno.ENOSPC, "No space left on device", "/full/place")
    wrapped = MlflowException("cannot write")
    wrapped.__cause__ = error
    for each in (error, wrapped):
        told = told_of(each, "cannot download", RegistryError)
        assert isinstance(told, DiskFull)
        assert "`/full/place` cannot be written: No space left on device; free space" in str(told)


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), ImportError("x", name="torch")])
def test_our_own_fault_is_nobody_elses(error: Exception) -> None:
    """It ends as an internal error, with its traceback."""
    assert foreign(error) is None


def _raise(error: Exception) -> None:
    raise error
