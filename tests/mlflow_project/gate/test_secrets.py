"""No secret of an address or of the environment is left anywhere by a gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.support.demo_samples import TOO_FEW, save_samples
from tests.support.gating import call
from tests.support.places import DEMO

pytestmark = pytest.mark.usefixtures("mlflow_settings")

PASSWORD, TOKEN, KEY = "canary-password-1", "canary-token-2", "canary-key-3"
CANARIES = (PASSWORD, TOKEN, KEY)


def left(client: MlflowClient, name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """All that a gate left: files of the output, run and version, with where each lies."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_text(encoding="utf-8", errors="replace")
    version = client.get_model_version(name, "1")
    yield "version", json.dumps({**version.tags, "": version.description})
    run = client.get_run(version.tags["ban.run_id"])
    yield "run", json.dumps([run.data.tags, run.data.params, run.info.run_name, str(run.inputs)])
    place = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, dst_path=str(folder / "run")
    )
    for path in Path(place).rglob("*"):
        if path.is_file():
            yield str(path), path.read_text(encoding="utf-8", errors="replace")


def test_a_gate_leaves_no_secret(
    registry: MlflowClient, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in what it prints nor in report, verdict, files for CI, run, tags or attestation."""
    run = registry.create_run(registry.create_experiment("secretive")).info
    registry.log_artifact(run.run_id, str(DEMO / "clean.onnx"), "model")
    registry.create_registered_model("secretive")
    registry.create_model_version("secretive", f"{run.artifact_uri}/model", run.run_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    address = mlflow_server.replace("://", f"://me:{PASSWORD}@")
    few = save_samples(tmp_path / "few.npz", TOO_FEW)

    done = call(
        *("gate", "models:/secretive/1", "--samples", few, "--tracking-uri", address),
        *("--promote", "champion", "--output", tmp_path / "out", "--verbose"),
    )

    assert done.exit_code == 3, done.output
    mlflow.set_tracking_uri(mlflow_server)
    found = dict(left(registry, "secretive", tmp_path / "out"))
    assert {Path(each).name for each in found} >= {"verdict.json", "report.html", "run", "version"}
    for place, text in {"printed": done.output, **found}.items():
        assert not [each for each in CANARIES if each in text], place
