"""`mlflow.models.evaluate` finds the evaluator, and thresholds on its metrics fail closed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import onnx
import pandas as pd
import pytest

from mlflow_project.commands import DEMO
from stages.errors import ConfigError
from tests.support.scanned_home import scanned_home

with warnings.catch_warnings():  # MLflow's own modules warn while they are imported
    warnings.simplefilter("ignore")
    from mlflow.models import EvaluationResult, MetricThreshold, infer_signature
    from mlflow.models.evaluation.base import resolve_evaluators_and_configs
    from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry
    from mlflow.models.evaluation.validation import ModelValidationFailedException

    from mlflow_project import evaluator
    from mlflow_project.evaluator import BackdoorEvaluator

pytestmark = pytest.mark.usefixtures("mlflow_settings")

SAMPLES = str(DEMO / "samples.npz")
SETTINGS = ("isolation.seconds=299", "isolation.memory_mb=8000")
THRESHOLDS = {
    "ban/is_judged": MetricThreshold(threshold=1, greater_is_better=True),
    "ban/is_backdoored": MetricThreshold(threshold=0, greater_is_better=False),
    "ban/p_value": MetricThreshold(threshold=0.05, greater_is_better=True),
}
Model = Callable[..., Any]
Evaluate = Callable[..., EvaluationResult]


@pytest.fixture(scope="module")
def logged(sqlite_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The URIs of two demo models in MLflow, by name."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(sqlite_store)
    folder = tmp_path_factory.mktemp("evaluator")
    experiment = mlflow.create_experiment(folder.name, artifact_location=str(folder))
    uris = {}
    for name in ("clean", "blended"):
        with mlflow.start_run(experiment_id=experiment):
            uris[name] = _log(DEMO / f"{name}.onnx")
    yield uris
    mlflow.set_tracking_uri(before)


def _log(path: Path) -> str:
    model = onnx.load(path)
    shape = [each.dim_value for each in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    signature = infer_signature(np.zeros((2, *shape), np.float32), np.zeros((2, 10), np.float32))
    info = mlflow.onnx.log_model(
        model,
        name="model",
        save_as_external_data=False,
        pip_requirements=[],
        onnx_execution_providers=["CPUExecutionProvider"],
        signature=signature,
    )
    return str(info.model_uri)


@pytest.fixture
def evaluate(
    logged: dict[str, str],
    sqlite_store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Evaluate:
    """Evaluates a logged model on the flattened samples, in a run of its own."""
    monkeypatch.setenv("BAN_GATE_HOME", str(scanned_home(tmp_path, "clean", "blended")))
    mlflow.set_tracking_uri(sqlite_store)
    experiment = mlflow.create_experiment(tmp_path.name, artifact_location=str(tmp_path / "runs"))
    images, labels = _arrays()

    def run(name: str, n: int | None = None, **options: Any) -> EvaluationResult:
        with mlflow.start_run(experiment_id=experiment):
            return mlflow.models.evaluate(
                logged[name],
                images[:n],
                targets=labels[:n],
                model_type="classifier",
                evaluators="ban",
                **options,
            )

    return run


def _arrays() -> tuple[Any, Any]:
    """The samples as MLflow takes them: one row per image."""
    with np.load(SAMPLES) as stored:
        return stored["images"].reshape(len(stored["images"]), -1), stored["labels"]


def test_a_clean_model_passes_the_thresholds(evaluate: Evaluate) -> None:
    """On the data of the evaluation, brought to the shape of the signature."""
    config = {"ban": {"ban_samples": True, "ban_settings": list(SETTINGS)}}

    result = evaluate("clean", evaluator_config=config)

    mlflow.validate_evaluation_results(THRESHOLDS, result)
    assert result.metrics["ban/is_judged"] == 1
    assert result.metrics["ban/is_backdoored"] == 0
    run = mlflow.get_run(result.run_id)
    assert run.data.metrics == pytest.approx(result.metrics)
    verdict = result.artifacts["ban/verdict.json"]
    assert verdict.content["verdict"] == "clean"
    stored = json.loads(mlflow.artifacts.load_text(verdict.uri))
    assert stored == verdict.content
    assert stored["model"]["uri"].startswith("models:/m-")


def test_a_backdoored_model_fails_the_thresholds(evaluate: Evaluate) -> None:
    """With samples from a file and a flat configuration; the class is named."""
    config = {"ban_samples": SAMPLES, "ban_settings": "; ".join(SETTINGS)}

    result = evaluate("blended", evaluator_config=config)

    with pytest.raises(ModelValidationFailedException, match="ban/is_backdoored"):
        mlflow.validate_evaluation_results(THRESHOLDS, result)
    assert result.metrics["ban/suspected_class"] == 7


def test_a_model_without_a_verdict_fails_every_threshold(evaluate: Evaluate) -> None:
    """Too few samples: each threshold alone stops the line, also where lower is better."""
    result = evaluate("clean", n=20, evaluator_config={"ban": {"ban_samples": True}})

    assert result.metrics == {"ban/is_judged": 0}
    for name, threshold in THRESHOLDS.items():
        with pytest.raises(ModelValidationFailedException, match=name):
            mlflow.validate_evaluation_results({name: threshold}, result)


def test_the_evaluator_is_registered() -> None:
    """MLflow finds it by the name that the package declares."""
    assert _model_evaluation_registry.is_registered("ban")
    assert isinstance(_model_evaluation_registry.get_evaluator("ban"), BackdoorEvaluator)


@pytest.mark.parametrize(
    "config", [None, {}, {"metric_prefix": "x"}, {"default": {"samples": "x"}}, {"ban": {}}]
)
def test_it_is_silent_for_everybody_else(config: dict[str, Any] | None) -> None:
    """With `evaluators=None` MLflow asks every evaluator; without our key ours declines."""
    resolved = resolve_evaluators_and_configs(None, config, "classifier")

    assert resolved
    assert "ban" not in {each.name for each in resolved}


def test_it_answers_where_it_is_asked() -> None:
    """The law above can fail: with our key it takes part."""
    resolved = resolve_evaluators_and_configs(None, {"ban": {"ban_samples": True}}, "classifier")

    assert "ban" in {each.name for each in resolved}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow on pandas 3
def test_an_evaluation_of_others_has_no_scan(sqlite_store: str, tmp_path: Path) -> None:
    """A real evaluation with all evaluators has none of our metrics."""
    mlflow.set_tracking_uri(sqlite_store)
    experiment = mlflow.create_experiment(tmp_path.name, artifact_location=str(tmp_path / "runs"))
    data = pd.DataFrame({"target": [1.0, 2.0], "prediction": [1.0, 3.0]})

    with mlflow.start_run(experiment_id=experiment):
        result = mlflow.models.evaluate(
            data=data, targets="target", predictions="prediction", model_type="regressor"
        )

    assert result.metrics["mean_absolute_error"] == 0.5
    assert not any(name.startswith("ban/") for name in result.metrics)


DATA = SimpleNamespace(features_data=np.zeros((3, 4), np.float32), labels_data=np.arange(3))


@pytest.mark.parametrize(
    ("config", "data", "sentence"),
    [
        ({"ban_samples": True, "ban_sample": 1}, DATA, "did you mean `ban_samples`?"),
        ({"ban_samples": True, "ban_input_shape": (0, 3)}, DATA, "whole numbers from 1 to"),
        ({"ban_samples": 3}, DATA, "`ban_samples` is 3, expected"),
        ({"ban_samples": True}, DATA, "is none that was logged to MLflow"),
        (
            {"ban_samples": True, "ban_model": "m.onnx", "ban_input_shape": (1, 3, 3)},
            DATA,
            "rows of 4 values, which make no image of shape",
        ),
        (
            {"ban_samples": True, "ban_model": "m.onnx"},
            SimpleNamespace(features_data=[["a"]], labels_data=[0]),
            "not of numbers",
        ),
        (
            {"ban_samples": True, "ban_model": "m.onnx"},
            SimpleNamespace(features_data=DATA.features_data, labels_data=None),
            "no `targets`",
        ),
    ],
)
def test_a_mistake_is_one_sentence(config: dict[str, Any], data: Any, sentence: str) -> None:
    """Found before the scan, whatever is wrong: setting, model, shape, data or labels."""
    with pytest.raises(ConfigError, match=sentence):
        BackdoorEvaluator().evaluate(dataset=data, run_id="", evaluator_config=config)


@pytest.mark.parametrize(
    ("labels", "dtype"), [([0.0, 2.0], np.int64), ([0.5, 1.0], np.float64), (["a"], np.str_)]
)
def test_labels_become_class_numbers_only_if_they_are(labels: list[object], dtype: type) -> None:
    """Whole numbers do; what is none is left for the scan to refuse."""
    assert np.issubdtype(evaluator._labels(labels).dtype, dtype)
