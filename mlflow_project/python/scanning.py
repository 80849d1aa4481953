"""`ban_gate.scan`: the verdict on a model that a caller in Python has."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from mlflow_project.local_files import local
from mlflow_project.own_store import own_store
from mlflow_project.progress_bars import progress_bars
from mlflow_project.progress_lines import telling
from mlflow_project.python import given_models, given_samples
from mlflow_project.python.given import Given, models_in
from mlflow_project.python.given_models import Model
from mlflow_project.python.given_samples import Labels, Samples, is_place
from mlflow_project.python.options import (
    Call,
    Device,
    Preprocess,
    config_of,
    preparation_of,
    seconds_of,
)
from mlflow_project.python.recording import in_run, record, target_of
from mlflow_project.python.result import Result
from pipeline.evidence import ScanResult
from pipeline.pace.extent import Extent
from pipeline.report.html_page import render
from pipeline.request import ScanRequest
from pipeline.scan import choose_device, course_of
from pipeline.scan import scan as run_scan
from pipeline.steps import steps_of


def scan(  # noqa: PLR0913 (all but three by keyword)
    model: Model,
    images: Samples,
    labels: Labels = None,
    *,
    references: Sequence[Model] = (),
    class_names: Sequence[str] = (),
    preprocess: Preprocess = None,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    device: Device = "auto",
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
    or Flax, which is left as it is. `images` are (N, *input shape) in the model's own input space
    beside `labels` (N,), the class numbers; a DataLoader or Dataset of such pairs; or a path, of an
    `.npz` or of pictures, prepared by a name or by options such as `preprocess={"crop": 32}`.
    `class_names` name classes 0, 1, … and decide which folder is which class. `references` are
    models of the same task that are known to be clean, or profiles of them; `settings` are those of
    `--set`, such as `{"judge.false_alarm_rate": 0.01}`. A native model in a file is loaded only
    with `trust_model_code`. A `quick` scan is a first look, which passes nothing; one with a
    `budget`, in seconds or as in `"10m"`, ends when it is spent.

    Raises:
        ConfigError: a setting is wrong, or the device is not there.
        CannotJudge: a live model cannot be exported, or the samples are none.
        PlaceError: MLflow failed, of which nothing is used without a URI.
    """
    call = Call(
        config=config_of(settings, seed, device, output_name),
        preparation=preparation_of(preprocess, class_names, seed),
        target=target_of(tracking_uri, experiment),
        trusted=trust_model_code,
        fresh=fresh,
    )
    extent = Extent(quick=quick, budget=seconds_of(budget))
    return _scanned(call, (model, *references), images, labels, extent)


def _scanned(
    call: Call, models: Sequence[Model], images: Samples, labels: Labels, extent: Extent
) -> Result:
    """The scan of the first of the models, with the others as references.

    The caller's random numbers on the CPU go on as if there were no scan.
    """
    choose_device(call.config.device)
    given_models.require_models(models)
    with TemporaryDirectory(prefix="ban-gate-") as name, torch.random.fork_rng(devices=[]):
        folder = Path(name)
        samples = given_samples.written(images, labels, call.preparation, folder)
        with in_run(given_models.name_of(models[0]), call.target):
            given = models_in(models, samples, call, folder)
            found = _found(_request(call, given, samples, extent, folder), folder, call.fresh)
            page = render(found)
            named = samples if is_place(images) else given_samples.IN_MEMORY
            record(found, page, named, call.target)
    return Result(scan=found, page=page)


def _request(
    call: Call, given: Sequence[Given], samples: str, extent: Extent, folder: Path
) -> ScanRequest:
    paths = [str(local(each.place, folder / f"local-{n}")) for n, each in enumerate(given)]
    return ScanRequest(
        model=paths[0],
        samples=local(samples, folder / "samples"),
        uri=given[0].name,
        config=call.config,
        preparation=call.preparation,
        trusted=call.trusted,
        references=tuple(paths[1:]),
        names={path: each.name for path, each in zip(paths, given, strict=True)},
        quick=extent.quick,
        budget=extent.budget,
    )


def _found(request: ScanRequest, folder: Path, fresh: bool) -> ScanResult:
    """What the scan found; what a library prints goes to stderr."""
    course = course_of(request)
    store = own_store(fresh, progress_bars(steps_of(request), course))
    place = folder / "workspace"
    place.mkdir()
    with redirect_stdout(sys.stderr), telling(course):
        return run_scan(request, store, place, course)
