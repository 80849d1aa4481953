"""An MLflow run around a call from Python, and MLflow as it was afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.evidence import ScanResult
from pipeline.report.html_page import REPORT_FILE
from stages.errors import ConfigError

if TYPE_CHECKING:
    from mlflow_project.connection import Target

URI_VARIABLE = "MLFLOW_TRACKING_URI"


def target_of(
    tracking_uri: str | None, experiment: str | None, *, always: bool = False
) -> Target | None:
    """Where a run is recorded; None, and nothing of MLflow, without a tracking URI, unless a run is
    `always` recorded, where MLflow chooses.

    Raises:
        ConfigError: an experiment is named, and nothing will be recorded.
    """
    if tracking_uri is None and experiment and not always:
        raise ConfigError(
            f"the experiment `{experiment}` is that of a run, and there is none without a"
            " `tracking_uri`; give one, such as `sqlite:///mlflow.db`"
        )
    if tracking_uri is None and not always:
        return None
    from mlflow_project.connection import Target  # noqa: PLC0415 (MLflow, where wanted)

    return Target(uri=tracking_uri, experiment=experiment)


@contextmanager
def in_run(name: str, target: Target | None) -> Iterator[None]:
    """A run around the block if there is a target.

    Raises:
        TrackingError: the server does not answer or refuses the run.
    """
    if target is None:
        yield
        return
    from mlflow_project import tracking  # noqa: PLC0415 (MLflow, where wanted)

    with uris_kept(), tracking.open_run(name, target):
        yield


def record(result: ScanResult, page: str, samples: str, target: Target | None) -> None:
    """Logs a scan and its report to the run that is open, if there is a target.

    Raises:
        TrackingError: the server or its artifact store failed.
    """
    if target is not None:
        from mlflow_project import tracking  # noqa: PLC0415 (MLflow, where wanted)

        tracking.record(result, samples, texts={REPORT_FILE: page})


@contextmanager
def connected(target: Target) -> Iterator[None]:
    """Lets MLflow use the target inside the block.

    Raises:
        TrackingError: the server does not answer.
    """
    from mlflow_project import connection  # noqa: PLC0415 (MLflow, where wanted)

    with uris_kept():
        connection.connect(target)
        yield


@contextmanager
def uris_kept() -> Iterator[None]:
    """Lets the block choose another tracking URI for MLflow, which then has its own again."""
    import mlflow  # noqa: PLC0415 (where wanted)

    variable = os.environ.get(URI_VARIABLE)
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type] # None lets it choose again
        if variable is not None:
            os.environ[URI_VARIABLE] = variable
        else:
            os.environ.pop(URI_VARIABLE, None)
