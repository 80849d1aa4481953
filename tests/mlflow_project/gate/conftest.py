"""A registry for gates, with one store of results for each file of tests."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.support.scanned_home import scanned_home

GATED = ("clean", "blended")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store of results for all gates here, for which each model was scanned before."""
    return scanned_home(tmp_path_factory.mktemp("home"), *GATED)


@pytest.fixture
def registry(mlflow_server: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A client of the server, with ban-gate's home and MLflow set to it."""
    monkeypatch.setenv("BAN_GATE_HOME", str(home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    mlflow.set_tracking_uri(mlflow_server)
    return MlflowClient()
