"""A gate that takes a first look promotes nothing, even where an open verdict may pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.brief_searches import BRIEF
from tests.support.gating import gate, logged, register

pytestmark = [
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow's own
]


def test_a_first_look_moves_no_alias(registry: MlflowClient, tmp_path: Path) -> None:
    """The version is blocked until the whole scan is done, and told why."""
    register("quick", logged("clean"))
    policy = tmp_path / "policy.toml"
    names = json.dumps([one for each in BRIEF for one in each.split(";")])
    policy.write_text(f'inconclusive = "warn"\nsettings = {names}\n')
    brief = [part for each in BRIEF for part in ("--set", each)]

    result = gate(
        *("models:/quick/1", "--quick", "--promote", "champion", "--policy", policy, *brief)
    )

    version = registry.get_model_version("quick", "1")
    assert result.exit_code == 3, result.stderr
    assert "run the full scan" in result.stdout
    assert "not done to its end" in version.tags["ban.reason"]
    assert version.tags["ban.gate"] == "block"
    assert registry.get_registered_model("quick").aliases == {}
