"""Which MLflow is used, whether it is alive, and what its failures are called."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import mlflow
import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from mlflow_project.errors import DiskFull, PlaceError, RegistryError, TrackingError
from mlflow_project.foreign_errors import foreign
from mlflow_project.new_database import make_tables
from mlflow_project.patience import patiently
from pipeline.printable import printable
from stages.errors import BanGateError

ALIVE_SECONDS = 5
CLIENT_SETTINGS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # a log file is no terminal
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout carries the verdict alone
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # a server that dies is given up within a minute
}
ADVICE = {
    TrackingError: "check `--tracking-uri` and that the MLflow server runs and lets you write",
    RegistryError: "check the name, `--tracking-uri`, and that the MLflow server runs",
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where runs are recorded; None leaves the choice to MLflow and its environment variables."""

    uri: str | None = None
    experiment: str | None = None


@contextmanager
def explained(what: str, kind: type[PlaceError]) -> Iterator[None]:
    """Turns what MLflow, its storage and the disk raise into one sentence that begins with `what`.

    A fault of our own passes as it is.

    Raises:
        PlaceError: of that kind; MLflow or its storage failed.
        DiskFull: nothing can be written on this machine.
    """
    try:
        yield
    except BanGateError:
        raise
    except Exception as error:
        if (told := told_of(error, what, kind)) is None:
            raise
        raise told from error


def told_of(error: BaseException, what: str, kind: type[PlaceError]) -> BanGateError | None:
    """The failure that an exception means, as one sentence; None if it is a fault of our own."""
    found = foreign(error)
    if found is None:
        return None
    if found.disk:
        return DiskFull(printable(f"{found.reason}; {found.advice}"))
    uri = mlflow.get_registry_uri() if kind is RegistryError else mlflow.get_tracking_uri()
    sentence = f"{what} at `{uri}` ({found.reason}); {found.advice or ADVICE[kind]}"
    return kind(printable(sentence), outage=found.outage)


def connect(target: Target) -> None:
    """Lets MLflow's clients use the target, whose server must show a sign of life.

    Raises:
        TrackingError: the server does not answer.
    """
    with explained("cannot record the scan", TrackingError):
        for variable, value in CLIENT_SETTINGS.items():
            os.environ.setdefault(variable, value)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        if target.uri:
            mlflow.set_tracking_uri(target.uri)
        patiently(_check_alive, mlflow.get_tracking_uri())
        make_tables(mlflow.get_tracking_uri())


def experiment_id(name: str | None) -> str | None:
    """The experiment of that name, made if it is not there; None where MLflow's variables choose.

    Raises:
        MlflowException: the server does not answer or refuses.
    """
    if not name:
        return None
    if found := mlflow.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        return str(mlflow.create_experiment(name))
    except MlflowException:
        if found := mlflow.get_experiment_by_name(name):  # another process was faster
            return str(found.experiment_id)
        raise


def _check_alive(uri: str) -> None:
    """Asks an HTTP server for a sign of life, once, so that a dead one is found before the scan."""
    if urlsplit(uri).scheme in ("http", "https"):
        answer = http_request(
            get_default_host_creds(uri),
            "/health",
            "GET",
            max_retries=0,
            timeout=ALIVE_SECONDS,
            raise_on_status=False,
        )
        if answer.status_code >= requests.codes.server_error:
            raise MlflowException(f"`/health` answers {answer.status_code}, expected 200")
