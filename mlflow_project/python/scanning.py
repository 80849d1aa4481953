"""`ban_gate.scan`: the verdict on a model that a caller in Python has."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from mlflow_project.own_store import own_store
from mlflow_project.progress_bars import progress_bars
from mlflow_project.progress_lines import telling
from mlflow_project.python import given_models, given_samples
from mlflow_project.python.given_models import Model
from mlflow_project.python.given_samples import Labels, Samples
from mlflow_project.python.result import Result
from mlflow_project.uris import is_uri
from pipeline.config import ScanConfig, load_config
from pipeline.intake.samples import first_images
from pipeline.pace.duration import seconds_in
from pipeline.report.html_page import REPORT_FILE, render
from pipeline.request import ScanRequest
from pipeline.samples.preparation import Preparation
from pipeline.scan import course_of
from pipeline.scan import scan as run_scan
from pipeline.steps import steps_of
from stages.export.child import PROBES


def scan(  # noqa: PLR0913 (all but three by keyword)
    model: Model,
    images: Samples,
    labels: Labels = None,
    *,
    references: Sequence[str | Path] = (),
    class_names: Sequence[str] = (),
    preprocess: str | None = None,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    output_name: str = "",
    trust_model_code: bool = False,
    quick: bool = False,
    budget: float | str | None = None,
    fresh: bool = False,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> Result:
    """The verdict on a classifier, by a few hundred labelled clean samples.

    `model` is a path, an MLflow URI, an ONNX model, or a live model of torch, Keras, scikit-learn
    or Flax, which is left as it is. `images` are an array or tensor (N, *input shape) in the
    model's own input space beside `labels` (N,), the class numbers; a DataLoader or Dataset of such
    pairs; or a path, of an `.npz` or of pictures prepared as `preprocess` says. `class_names` name
    classes 0, 1, … and decide which folder is which class. `references` are models of the same task
    that are known to be clean, `settings` those of `--set`. A native model in a file is loaded only
    with `trust_model_code`. A `quick` scan is a first look, which passes nothing; one with a
    `budget`, in seconds or `"10m"`, ends when it is spent; a `fresh` one uses and keeps no results.

    Raises:
        ConfigError, CannotJudge: a setting is wrong; a live model or the samples cannot be used.
        TrackingError: the run was not recorded; there is one with a `tracking_uri` alone.
    """
    config = _config(settings or {}, seed, device, output_name)
    asked = Preparation(preprocess=preprocess, class_names=tuple(class_names) or None, seed=seed)
    with TemporaryDirectory(prefix="ban-gate-") as name:
        samples = given_samples.written(images, labels, seed, folder := Path(name))
        request = ScanRequest(
            model=_file(model, samples, config, folder),
            samples=samples,
            uri=given_models.name_of(model),
            config=config,
            preparation=asked,
            trusted=trust_model_code,
            references=tuple(map(str, references)),
            quick=quick,
            budget=_seconds(budget),
        )
        return _judged(request, folder, fresh, tracking_uri, experiment)


def _config(settings: Mapping[str, object], seed: int, device: str, output_name: str) -> ScanConfig:
    overrides = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    return load_config(None, overrides, seed=seed, device=device, output=output_name or None)


def _seconds(budget: float | str | None) -> float | None:
    """A budget in seconds, also of a text such as `10m`."""
    return seconds_in(budget) if isinstance(budget, str) else budget


def _file(model: Model, samples: Path, config: ScanConfig, folder: Path) -> str:
    """Where the model lies as a file, downloaded or exported if need be."""
    if isinstance(model, str | Path) and is_uri(str(model)):
        from mlflow_project.registry import versions  # noqa: PLC0415 (the only use of MLflow)

        return str(versions.local(str(model), folder / "downloaded"))
    if isinstance(model, str | Path):
        return str(model)
    probes = first_images(samples, PROBES)
    return given_models.written(model, probes, config.export.tolerance, folder)


def _judged(
    request: ScanRequest,
    folder: Path,
    fresh: bool,
    tracking_uri: str | None,
    experiment: str | None,
) -> Result:
    course = course_of(request)
    store = own_store(fresh, progress_bars(steps_of(request), course))
    place = folder / "workspace"
    place.mkdir()
    recorded: AbstractContextManager[None] = nullcontext()
    if tracking_uri:
        from mlflow_project import connection, tracking  # noqa: PLC0415 (MLflow, where wanted)

        target = connection.Target(uri=tracking_uri, experiment=experiment)
        recorded = tracking.open_run(request.uri, target)
    with recorded:
        with redirect_stdout(sys.stderr), telling(course):  # a library's prints are not for here
            found = run_scan(request, store, place, course)
        page = render(found)
        if tracking_uri:
            tracking.record(found, str(request.samples), texts={REPORT_FILE: page})
    return Result(scan=found, page=page)
