"""A gate and a verification from Python decide as the commands do, by the same words."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

import ban_gate
from tests.support.gating import call, logged, register
from tests.support.pictures import digits

pytestmark = [
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow's own
]
FEW = 60
"""Samples, too few for a verdict, so that nothing takes long."""


@pytest.fixture
def store(sqlite_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a registry, where ban-gate has a home of its own."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    mlflow.set_tracking_uri(sqlite_store)
    return sqlite_store


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy under which an open verdict passes."""
    path = tmp_path / "policy.toml"
    path.write_text('inconclusive = "warn"\n')
    return path


def test_a_block_is_false_and_says_what_the_command_says(store: str, tmp_path: Path) -> None:
    """Line, document and exit code of `ban-gate gate` are those of the same decision."""
    register("python-block", logged("clean"))
    mlflow.set_tracking_uri(before := f"sqlite:///{tmp_path / 'own.db'}")

    gated = ban_gate.gate("models:/python-block/1", *digits(FEW), tracking_uri=store)

    assert not gated
    assert (gated.passed, gated.action, gated.model) == (False, "block", "models:/python-block/1")
    assert gated.reasons == ("the verdict is `inconclusive`, the policy requires `clean`",)
    assert "only 60 clean samples" in gated.line
    assert gated.result.verdict == "inconclusive"
    assert "python-block, version 1" in gated.result.page
    assert repr(gated) == f"<ban_gate.Gated {gated.line}>"
    assert gated.line in gated._repr_html_().replace("&#39;", "'")
    assert mlflow.get_tracking_uri() == before
    mlflow.set_tracking_uri(store)
    assert MlflowClient().get_run(gated.run_id).data.tags["ban.gate"] == "block"
    told = call("gate", "models:/python-block/1", "--samples", _file(tmp_path), "--json")
    document = json.loads(told.stdout)
    assert told.exit_code == 3, told.stderr
    assert {**gated.to_dict(), "run_id": 0} == {**document, "run_id": 0}


def test_a_pass_is_true_moves_the_alias_and_can_be_verified(store: str, policy: Path) -> None:
    """Under the policy that lets it pass, and under no other."""
    register("python-pass", uri := logged("clean"))
    register("python-pass", uri)
    version = "models:/python-pass/1"

    gated = ban_gate.gate(
        version, *digits(FEW), promote="champion", policy=policy, tracking_uri=store
    )
    verified = ban_gate.verify(version, policy=policy, tracking_uri=store)
    strict = ban_gate.verify(version, tracking_uri=store)
    never = ban_gate.verify("models:/python-pass/2", tracking_uri=store)

    assert gated
    assert gated.line.endswith("champion: none → 1")
    assert str(MlflowClient().get_model_version_by_alias("python-pass", "champion").version) == "1"
    assert verified
    assert verified.valid
    assert verified.to_dict()["valid"] is True
    assert repr(verified).startswith(f"<ban_gate.Verified valid     {version}")
    assert not strict
    assert strict.gated
    assert strict.reasons
    assert not never
    assert not never.gated
    assert call("verify", version).stdout == f"{strict.line}\n"
    assert call("verify", version, "--policy", policy).exit_code == 0


def test_a_rehearsal_changes_nothing(store: str, policy: Path) -> None:
    """It says what would happen."""
    register("python-dry", logged("clean"))

    gated = ban_gate.gate(
        *("models:/python-dry/1", *digits(FEW)),
        promote="champion",
        policy=policy,
        dry_run=True,
        tracking_uri=store,
    )

    assert gated.line.endswith("champion: none → 1  (dry run)")
    assert "ban.gate" not in MlflowClient().get_model_version("python-dry", "1").tags


def test_an_open_run_gets_a_child(store: str) -> None:
    """A notebook that has a run of its own keeps it."""
    register("python-nested", logged("clean"))

    with mlflow.start_run() as run:
        gated = ban_gate.gate("models:/python-nested/1", *digits(FEW), tracking_uri=store)

        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == run.info.run_id
    tags = MlflowClient().get_run(gated.run_id).data.tags
    assert tags["mlflow.parentRunId"] == run.info.run_id


def test_what_is_not_there_is_told_in_a_sentence(store: str, tmp_path: Path) -> None:
    """By the exceptions of the package."""
    with pytest.raises(ban_gate.ConfigError, match="names no version of a registered model"):
        ban_gate.gate("model.onnx", *digits(FEW), tracking_uri=store)
    with pytest.raises(ban_gate.RegistryError, match="cannot find `models:/nobody/7`"):
        ban_gate.verify("models:/nobody/7", tracking_uri=store, public_keys=[_key(tmp_path)])
    with pytest.raises(ban_gate.ConfigError, match="cannot be read"):
        ban_gate.verify("models:/nobody/7", policy=tmp_path / "none.toml", tracking_uri=store)
    with pytest.raises(ban_gate.ConfigError, match="is no file; give one that is there"):
        ban_gate.gate(
            "models:/nobody/7", *digits(FEW), signing_key=tmp_path / "no.pem", tracking_uri=store
        )


def _key(folder: Path) -> Path:
    assert call("keygen", "--output", folder / "gate.pem").exit_code == 0
    return folder / "gate.pub.pem"


def _file(folder: Path) -> Path:
    images, labels = digits(FEW)
    np.savez(folder / "few.npz", images=images, labels=labels)
    return folder / "few.npz"
