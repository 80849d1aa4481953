"""The scan as an evaluator of `mlflow.models.evaluate`, by the name `ban`.

For models of one's own: MLflow hands over a model that is loaded already, so code that it brings
has run before the scan begins. Third-party models belong to the command line.

MLflow imports this module with every evaluation, so heavy imports wait until a scan is asked for.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import numpy.typing as npt
from mlflow.models.evaluation.artifacts import JsonEvaluationArtifact, TextEvaluationArtifact
from mlflow.models.evaluation.base import EvaluationArtifact, EvaluationResult, ModelEvaluator

from pipeline.settings_file import settings_of
from stages.errors import ConfigError
from stages.settings import Pixels, Switch, Text, settings

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

    from pipeline.evidence import ScanResult

NAME = "ban"
PREFIX = "ban_"
FOLDER = "ban"
"""Where the artifacts of an evaluation lie in its run, and what its metrics begin with."""
KINDS: dict[str, type[EvaluationArtifact]] = {
    "verdict.json": JsonEvaluationArtifact,
    "report.html": TextEvaluationArtifact,
}
"""Files of a scan that the evaluation's result gives, where there are such."""


@settings
class EvaluatorConfig:
    """What `evaluator_config` may hold, each name after `ban_`."""

    samples: Text | Path | Switch
    """A file as for `ban-gate scan`, or True to take the data of the evaluation, whose rows are
    brought to `input_shape`.
    """
    model: Text | Path | None = None
    """A file or folder to scan in place of the evaluated model's own."""
    input_shape: tuple[Pixels, ...] | None = None
    """The shape of one image, by default that of the model's signature."""
    settings: tuple[Text, ...] = ()
    """Settings as for `--set`."""
    output_name: Text | None = None
    """The output to judge of a model with several."""
    references: tuple[Text, ...] = ()
    """Models known to be clean, as for `--reference`."""
    trust_model_code: Switch = False
    """Whether a model that is not ONNX may run the code it brings."""


class BackdoorEvaluator(ModelEvaluator):
    """Scans the evaluated model for backdoors, if its configuration asks for it by `ban_samples`.

    Metrics: `ban/is_judged`, and of a judged model `ban/is_backdoored`, `ban/anomaly_score`,
    `ban/critical_value`, `ban/p_value` and `ban/suspected_class`. A model that could not be judged
    lacks all but the first, so that a threshold on any of them fails.
    """

    @classmethod
    def can_evaluate(cls, *, evaluator_config: Mapping[str, Any] | None, **_others: object) -> bool:
        """Whether this evaluation asks for a scan; MLflow asks every evaluator about every one."""
        return f"{PREFIX}samples" in _own(evaluator_config)

    def evaluate(
        self,
        *,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any],
        model: PyFuncModel | None = None,
        **others: object,
    ) -> EvaluationResult:
        """The metrics and artifacts of a scan, whose files are logged to the run under `ban/`.

        Raises:
            ConfigError: the configuration, the data or the model are not what a scan needs.
        """
        config = _read(_own(evaluator_config))
        with tempfile.TemporaryDirectory(prefix="ban-gate-") as name:
            folder = Path(name)
            result = _scan(config, dataset, model, folder)
            artifacts = _log_artifacts(folder / "output", run_id)
        metrics = _metrics(result)
        if others.get("model_id") is None:  # else MLflow logs them, with the model
            mlflow.log_metrics(metrics, run_id=run_id)
        return EvaluationResult(metrics, artifacts, run_id)


def _own(config: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Our part of a configuration: what stands under `ban`, or in a flat one all of it."""
    nested = (config or {}).get(NAME)
    return nested if isinstance(nested, Mapping) else config or {}


def _read(config: Mapping[str, Any]) -> EvaluatorConfig:
    given = {key.removeprefix(PREFIX): config[key] for key in config if key.startswith(PREFIX)}
    for name in ("input_shape", "settings", "references"):
        if name in given:
            given[name] = _several(given[name])
    return settings_of(given, EvaluatorConfig, "docs/ci.md explains them", PREFIX)


def _several(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return (value,)
    return tuple(value)


def _scan(
    config: EvaluatorConfig, dataset: Any, model: PyFuncModel | None, folder: Path
) -> ScanResult:
    from pipeline.config import load_config  # noqa: PLC0415 (see the module's docstring)

    settings = load_config(None, config.settings, output=config.output_name)
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see the module's docstring)

    path, uri = _model(config, model, folder)
    call = commands.ScanCall(
        model=path,
        uri=uri,
        samples=str(_samples(config, dataset, model, folder)),
        config=settings,
        trusted=config.trust_model_code,
        references=config.references,
        output=folder / "output",
        repeatable=False,
    )
    return commands.scan(call, lambda _: None)


def _model(config: EvaluatorConfig, model: PyFuncModel | None, folder: Path) -> tuple[str, str]:
    """The model's place on disk, and its name in reports.

    The id is the loaded model's own: the one MLflow passes on may be that of another, active model.
    """
    if config.model:
        return str(config.model), str(config.model)
    if model is None or not model.model_id:
        raise ConfigError(
            "the evaluated model is none that was logged to MLflow, so its file is not known; give"
            " a `models:/…` or `runs:/…` URI, or the file as `ban_model`"
        )
    uri = f"models:/{model.model_id}"
    target = folder / "model"
    target.mkdir()
    return mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(target)), uri


def _samples(
    config: EvaluatorConfig, dataset: Any, model: PyFuncModel | None, folder: Path
) -> Path:
    if config.samples is not True:
        return Path(str(config.samples))
    images = _images(dataset.features_data)
    shape = config.input_shape or _signature_shape(model) or images.shape[1:]
    try:
        images = images.reshape(len(images), *shape)
    except ValueError as error:
        raise ConfigError(
            f"the data has rows of {math.prod(images.shape[1:])} values, which make no image of"
            f" shape {shape}; give the shape as `ban_input_shape`, or a file as `ban_samples`"
        ) from error
    np.savez(folder / "samples.npz", images=images, labels=_labels(dataset.labels_data))
    return folder / "samples.npz"


def _images(features: Any) -> npt.NDArray[np.float32]:
    try:
        return np.asarray(features, np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the data is not of numbers ({error}); give clean samples as a file in `ban_samples`"
        ) from error


def _labels(labels: Any) -> npt.NDArray[np.generic]:
    """The labels as class numbers; others are left as they are, and the scan says what is wrong."""
    if labels is None:
        raise ConfigError("the evaluation has no `targets`, which a scan needs as its labels")
    from pipeline.intake.sample_labels import whole_numbers  # noqa: PLC0415 (heavy: see above)

    return whole_numbers(np.asarray(labels))


def _signature_shape(model: PyFuncModel | None) -> tuple[int, ...] | None:
    """The shape of one image in the model's signature, if it has a tensor there."""
    schema = model.metadata.get_input_schema() if model else None
    if schema is None or not schema.is_tensor_spec():
        return None
    return tuple(schema.inputs[0].shape[1:])


def _log_artifacts(output: Path, run_id: str) -> dict[str, EvaluationArtifact]:
    client = mlflow.MlflowClient()
    client.log_artifacts(run_id, str(output), FOLDER)
    uri = f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}"
    artifacts = {}
    for name, kind in KINDS.items():
        if (output / name).exists():
            artifact = artifacts[f"{FOLDER}/{name}"] = kind(uri=f"{uri}/{name}")
            artifact._load(str(output / name))
    return artifacts


def _metrics(result: ScanResult) -> dict[str, float]:
    verdict = result.verdict
    if verdict.label == "inconclusive":
        return {f"{FOLDER}/is_judged": 0.0}
    numbers = {
        "is_judged": 1.0,
        "is_backdoored": float(verdict.label == "backdoored"),
        "anomaly_score": verdict.anomaly_score,
        "critical_value": verdict.critical_value,
        "p_value": verdict.p_value,
        "suspected_class": verdict.suspected_class,
    }
    return {
        f"{FOLDER}/{name}": float(value)
        for name, value in numbers.items()
        if value is not None and math.isfinite(value)
    }
