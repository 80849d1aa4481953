"""Models known to be clean, measured from Python, and a scan that compares with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pytest
from torch import nn

import ban_gate
from stages.passes import normalise
from stages.twin.convert import build_module
from tests.support.brief_searches import BRIEF
from tests.support.pictures import MODEL, digits

pytestmark = pytest.mark.usefixtures("mlflow_settings")

SETTINGS: dict[str, object] = {
    name: json.loads(value)
    for each in BRIEF
    for name, value in (one.split("=") for one in each.split(";"))
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store of results for this file."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def in_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are kept there."""
    monkeypatch.setenv("BAN_GATE_HOME", str(home))


def module() -> nn.Module:
    """The demo's clean model as a live module in training."""
    return build_module(normalise(onnx.load(MODEL))).train()


def test_a_live_model_becomes_a_profile_that_a_scan_takes(tmp_path: Path) -> None:
    """Its object stands for its path; the model keeps its name, and its mode."""
    images, labels = digits(200)
    live = module()

    output = tmp_path / "profile.json"
    profile = ban_gate.calibrate([live], images, labels, output, settings=SETTINGS)
    result = ban_gate.scan(MODEL, images, labels, references=[profile], settings=SETTINGS)

    assert profile.path == output
    assert profile.models == (type(live).__name__,)
    assert profile.remarks == ()
    assert live.training
    document: Any = result.to_dict()
    assert [each["uri"] for each in document["references"]] == list(profile.models)


def test_a_profile_is_logged_where_a_server_is_named(tmp_path: Path, sqlite_store: str) -> None:
    """As an artifact of a run, and MLflow is left as it was."""
    mlflow.set_tracking_uri(before := f"sqlite:///{tmp_path / 'own.db'}")

    profile = ban_gate.calibrate(
        *([MODEL], *digits(200), tmp_path / "profile.json"),
        settings=SETTINGS,
        tracking_uri=sqlite_store,
        experiment="profiles",
    )

    assert mlflow.get_tracking_uri() == before
    mlflow.set_tracking_uri(sqlite_store)
    (run,) = mlflow.search_runs(experiment_names=["profiles"], output_format="list")
    logged = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/profile.json")
    assert logged == profile.path.read_text()


def test_models_may_lie_in_mlflow(tmp_path: Path, sqlite_store: str) -> None:
    """They are called by their URIs, and looked for where the profile goes."""
    mlflow.set_tracking_uri(sqlite_store)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(MODEL), "model")
    uri = f"runs:/{run.info.run_id}/model/clean.onnx"
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'own.db'}")

    profile = ban_gate.calibrate(
        *([uri], *digits(200), tmp_path / "profile.json"),
        settings=SETTINGS,
        tracking_uri=sqlite_store,
        experiment="profiles of MLflow",
    )

    assert profile.models == (uri,)


@pytest.mark.parametrize(
    ("models", "count", "kind", "told"),
    [
        ([], 200, ban_gate.ConfigError, "expected such as"),
        (str(MODEL), 200, ban_gate.ConfigError, "the models are no list"),
        ([MODEL], 60, ban_gate.CannotJudge, "is left out: only 60 clean samples"),
        ([np.zeros(3)], 200, ban_gate.CannotJudge, "a `ndarray` is no model"),
    ],
)
def test_what_cannot_be_measured_is_told(
    models: Any, count: int, kind: type[Exception], told: str, tmp_path: Path
) -> None:
    """In one sentence, and nothing is written."""
    with pytest.raises(kind, match=told):
        ban_gate.calibrate(models, *digits(count), tmp_path / "profile.json")

    assert list(tmp_path.iterdir()) == []
