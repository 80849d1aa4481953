"""`ban_gate.calibrate`: a profile of models that are known to be clean."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow_project import calibrating
from mlflow_project.calibrating import CalibrateCall, Calibrated
from mlflow_project.python import given_models, given_samples
from mlflow_project.python.given import models_in
from mlflow_project.python.given_models import Model
from mlflow_project.python.given_samples import Labels, Samples
from mlflow_project.python.options import (
    Call,
    Device,
    Preprocess,
    config_of,
    preparation_of,
)
from mlflow_project.python.recording import connected, target_of
from stages.errors import ConfigError


def calibrate(  # noqa: PLR0913 (all but four by keyword)
    models: Sequence[Model],
    images: Samples,
    labels: Labels = None,
    output: str | os.PathLike[str] = "profile.json",
    *,
    class_names: Sequence[str] = (),
    preprocess: Preprocess = None,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    device: Device = "auto",
    output_name: str = "",
    trust_model_code: bool = False,
    fresh: bool = False,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> Calibrated:
    """Measures models that are all known to be clean, and writes one profile of them to `output`.

    A scan takes what this gives as one of its `references`, which makes fewer false alarms and
    finds more. Models, samples and the rest are as for `scan`; architectures may differ. With a
    tracking URI the profile is logged to a run. Models that cannot be measured are named in
    `remarks`.

    Raises:
        ConfigError: a setting is wrong, there is no model, or the output cannot be written.
        CannotJudge: no model can be measured, or the samples are none.
        PlaceError: MLflow failed, of which nothing is used without a URI.
    """
    call = Call(
        config=config_of(settings, seed, device, output_name),
        preparation=preparation_of(preprocess, class_names, seed),
        target=target_of(tracking_uri, experiment),
        trusted=trust_model_code,
        fresh=fresh,
    )
    return _calibrated(call, models, images, labels, Path(output))


def _calibrated(
    call: Call, models: Sequence[Model], images: Samples, labels: Labels, output: Path
) -> Calibrated:
    if not isinstance(models, list | tuple) or not models:
        raise ConfigError("the models are no list, or an empty one; expected such as `[v1, v2]`")
    given_models.require_models(models)
    with (
        TemporaryDirectory(prefix="ban-gate-") as name,
        connected(call.target) if call.target else nullcontext(),
    ):
        samples = given_samples.written(images, labels, call.preparation, folder := Path(name))
        given = models_in(models, samples, call, folder)
        return calibrating.calibrate(
            CalibrateCall(
                models=tuple(each.place for each in given),
                samples=samples,
                output=output,
                config=call.config,
                trusted=call.trusted,
                target=call.target,
                fresh=call.fresh,
                preparation=call.preparation,
                names={each.place: each.name for each in given},
            )
        )
