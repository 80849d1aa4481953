"""A scan as an MLflow run: parameters, metrics, artifacts, and the tags that answer the gate.

Tags come last, so a run with `ban.gate` is a run whose evidence is complete.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

from mlflow_project.connection import Target, connect, experiment_id, explained
from mlflow_project.errors import Ended, TrackingError
from mlflow_project.patience import patiently
from mlflow_project.run_contents import (
    description_of,
    metrics_of,
    params_of,
    tags_of,
    verdict_numbers,
)
from mlflow_project.unfinished_runs import PROCESS_TAG, end_unfinished, process_name
from mlflow_project.uris import without_secrets
from pipeline.evidence import ScanResult
from pipeline.printable import printable
from pipeline.report.figures import write_figures
from pipeline.report.html_page import REPORT_FILE, render
from pipeline.report.verdict_json import VERDICT_FILE, class_table, verdict_document, verdict_text
from stages.types import CleanSamples

CI_FOLDER = "ci"
CLASS_TABLE = "classes.json"
MODEL_FILE = "model.onnx"
LONGEST_DIGEST = 36
METRICS_PER_CALL = 1000
PARAMS_PER_CALL = 100
RUN_VARIABLE = "MLFLOW_RUN_ID"
WHAT = "cannot record the scan"
EXPERIMENT_VARIABLES = ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
EXPERIMENT = "ban-gate"
"""The experiment of runs that belong to no other."""
DESCRIPTION_TAG = "mlflow.note.content"

logger = logging.getLogger(__name__)


@contextmanager
def open_run(name: str, target: Target, *, nested: bool = False) -> Iterator[None]:
    """An MLflow run around a scan: FAILED if the block raises, KILLED if it is ended from outside,
    else FINISHED.

    Joins the run named by `MLFLOW_RUN_ID`, as under `mlflow run`, or starts one, a child of the
    run that is open if there is one, as there must be for a `nested` one.

    Raises:
        TrackingError: the server does not answer or refuses the run; within seconds, before the
            block is entered.
    """
    with explained(WHAT, TrackingError):
        _start_run(name, target, nested=nested)
    try:
        yield
    except BaseException as error:
        outside = isinstance(error, KeyboardInterrupt | Ended)
        with suppress(Exception):  # the first failure is the one to tell
            mlflow.end_run("KILLED" if outside else "FAILED")
        raise
    with explained(WHAT, TrackingError):
        run_id = open_run_id()
        patiently(mlflow.end_run, "FINISHED")
    with suppress(Exception):  # of no use to a reader, and first in the list of tags
        mlflow.MlflowClient().delete_tag(run_id, PROCESS_TAG)


def record(
    result: ScanResult,
    samples: str,
    *,
    texts: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Logs the whole scan to the run that is open; the file that was judged must still be there.

    `samples` is what the samples are called; `texts` are further artifacts by name, a report with
    a gate's decision among them, and `tags` further tags, which win.

    Raises:
        TrackingError: the server or its artifact store failed; the verdict is not recorded.
    """
    with explained(WHAT, TrackingError):
        run_id = open_run_id()
        patiently(_log_params, run_id, params_of(result))
        patiently(_log_metrics, run_id, metrics_of(result))
        patiently(_log_samples, result.evidence.samples, samples)
        _log_artifacts(result)
        told = dict(texts or {})
        if REPORT_FILE not in told:
            told[REPORT_FILE] = render(result)
        _describe(run_id, result)
        note(told, {**tags_of(result), **(tags or {})})
        logger.info("recorded in MLflow run %s at %s", run_id, mlflow.get_tracking_uri())


def _describe(run_id: str, result: ScanResult) -> None:
    """Gives the run a description, unless its owner wrote one."""
    if not mlflow.get_run(run_id).data.tags.get(DESCRIPTION_TAG):
        patiently(mlflow.set_tag, DESCRIPTION_TAG, description_of(result))


def note(texts: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Logs texts, by name, and then tags to the run that is open.

    Raises:
        TrackingError: the server or its artifact store failed.
    """
    with explained(WHAT, TrackingError):
        for name, text in texts.items():
            patiently(mlflow.log_text, text, name)
        patiently(mlflow.set_tags, dict(tags))


def run_url() -> str | None:
    """The page of the run that is open; None where no server shows it.

    Credentials in the address of the server are left out.
    """
    run, server = mlflow.active_run(), mlflow.get_tracking_uri()
    if run is None or urlsplit(server).scheme not in ("http", "https"):
        return None
    return printable(f"{without_secrets(server).rstrip('/')}/{_page(run)}")


def page_of(run_id: str) -> str | None:
    """The page of the open run within MLflow's own pages; None for any other run."""
    run = mlflow.active_run()
    return _page(run) if run is not None and run.info.run_id == run_id else None


def _page(run: Run) -> str:
    return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def log_texts(texts: Mapping[str, str]) -> None:
    """Logs files for CI systems, by name, to the run that is open, under `ci/`.

    Raises:
        TrackingError: the server or its artifact store failed.
    """
    with explained(WHAT, TrackingError):
        for name, text in texts.items():
            patiently(mlflow.log_text, text, f"{CI_FOLDER}/{name}")


def log_profile(path: Path) -> None:
    """Logs a profile that `calibrate` wrote to the run that is open.

    Raises:
        TrackingError: the server or its artifact store failed.
    """
    with explained(WHAT, TrackingError):
        patiently(mlflow.log_artifact, str(path))


def _start_run(name: str, target: Target, *, nested: bool) -> None:
    connect(target)
    joined = os.environ.get(RUN_VARIABLE)  # its name is the user's, given as `--run-name`
    run = mlflow.start_run(
        run_name=None if joined else printable(name),
        experiment_id=experiment_id(target.experiment or _usual_experiment()),
        nested=nested or mlflow.active_run() is not None,
    )
    mlflow.set_tag(PROCESS_TAG, process_name())
    end_unfinished(mlflow.MlflowClient(), run.info.experiment_id)


def log_model_metrics(result: ScanResult, model_id: str) -> None:
    """Logs score, p-value, statistics and success rates to a LoggedModel, from the open run.

    Raises:
        TrackingError: the server failed.
    """
    found = verdict_numbers(result)
    metrics = {name: one for name, one in found.items() if one is not None and math.isfinite(one)}
    with explained(WHAT, TrackingError):
        if metrics:
            patiently(mlflow.log_metrics, metrics, model_id=model_id)


def open_run_id() -> str:
    """The id of the run that is open."""
    run = mlflow.active_run()
    assert run is not None, "this is called inside `open_run`"  # noqa: S101 (our own logic)
    return str(run.info.run_id)


def _usual_experiment() -> str | None:
    """The project's own experiment, unless MLflow was told another one or is in a run already."""
    told = any(os.environ.get(each) for each in (RUN_VARIABLE, *EXPERIMENT_VARIABLES))
    return None if told else EXPERIMENT


def _log_params(run_id: str, params: Mapping[str, object]) -> None:
    """Logs what the run does not have yet: `mlflow run` logs its own, which cannot be changed."""
    known = mlflow.get_run(run_id).data.params
    new = [(key, value) for key, value in params.items() if key not in known]
    for start in range(0, len(new), PARAMS_PER_CALL):
        mlflow.log_params(dict(new[start : start + PARAMS_PER_CALL]))


def _log_metrics(run_id: str, metrics: Sequence[Metric]) -> None:
    for start in range(0, len(metrics), METRICS_PER_CALL):
        batch = metrics[start : start + METRICS_PER_CALL]
        mlflow.MlflowClient().log_batch(run_id, metrics=batch)


def _log_samples(samples: CleanSamples | None, named: str) -> None:
    if samples is None:
        return
    with warnings.catch_warnings():
        # MLflow finds its own source of local files twice
        warnings.filterwarnings("ignore", "The specified dataset source can be interpreted")
        dataset = from_numpy(
            samples.images,
            targets=samples.labels,
            source=_source_of(printable(named)),  # type: ignore[arg-type] # None is its default
            name=printable(Path(named).name),
            digest=samples.digest[:LONGEST_DIGEST],
        )
    mlflow.log_input(dataset, context="scan")


def _source_of(named: str) -> str | None:
    """Where samples lie, in a form that MLflow takes for the source of a data set; None, and the
    name alone is kept, if it takes none for it.
    """
    with suppress(MlflowException):
        if RunsArtifactRepository.is_runs_uri(named):
            named = RunsArtifactRepository.get_underlying_uri(named)
        resolve_dataset_source(named)
        return named
    return None


def _log_artifacts(result: ScanResult) -> None:
    patiently(mlflow.log_text, verdict_text(verdict_document(result)), VERDICT_FILE)
    if (table := class_table(result))["class"]:
        with warnings.catch_warnings():
            # MLflow looks for images among columns of text in a way that pandas will change
            warnings.filterwarnings("ignore", "For backward compatibility, 'str' dtypes")
            patiently(mlflow.log_table, table, CLASS_TABLE)
    with tempfile.TemporaryDirectory() as folder:
        if write_figures(result, Path(folder)):
            patiently(mlflow.log_artifacts, folder, "figures")
    if result.evidence.artifact:
        _log_model(result.evidence.artifact.path)


def _log_model(model: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        patiently(mlflow.log_artifact, str(shutil.copy(model, Path(folder) / MODEL_FILE)))
