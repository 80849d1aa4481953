"""What would stop a gate at its end stops it before its scan, also in a dry run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.support.auth_server import ADMIN, READER, with_basic_auth
from tests.support.gating import gate, logged, register
from tests.support.mlflow_servers import serving
from tests.support.places import DEMO

pytestmark = [
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow's own
]


@pytest.mark.parametrize("alias", ["latest", "v3", "my alias"])
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_name_that_no_alias_may_have(alias: str, options: tuple[str, ...]) -> None:
    """Wrong usage, before anything is asked of a registry."""
    done = gate("models:/digits/1", "--promote", alias, "--tracking-uri", "http://[", *options)

    assert done.exit_code == 2, done.output
    assert f"the alias {alias!r} is" in done.stderr
    assert "choose another name, such as `champion`" in done.stderr


@pytest.mark.nightly
def test_a_reader_is_told_before_the_scan_and_no_password_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not write is refused in one sentence; passwords in the address are in no output."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    with with_basic_auth(tmp_path) as url:
        for name, value in zip(("USERNAME", "PASSWORD"), ADMIN, strict=True):
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
        mlflow.set_tracking_uri(url)
        register("digits", logged("clean"))
        monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
        monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
        user, password = READER
        address = url.replace("://", f"://{user}:{password}@")
        for options in ((), ("--dry-run",)):
            done = gate(
                *("models:/digits/1", "--tracking-uri", address, "--experiment", "mine"),
                *("--promote", "champion", "--output", tmp_path / "out", *options),
            )
            assert done.exit_code == 4, done.output
            assert "cannot tag versions of `digits`" in done.stderr
            assert "Permission denied" in done.stderr or "403" in done.stderr
            assert "inspect" not in done.stderr
            assert password not in done.output
        assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.nightly
def test_a_workspace_gets_an_experiment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own experiment 0 is in the first workspace alone; `ban-gate`, or what is named, is
    made where it is missing.
    """
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    with serving(tmp_path / "server", ("--enable-workspaces",)) as (url, _):
        mlflow.set_tracking_uri(url)
        MlflowClient().create_workspace("team-a")
        monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
        run = MlflowClient().create_run(MlflowClient().create_experiment("first")).info
        MlflowClient().log_artifact(run.run_id, str(DEMO / "clean.onnx"), "model")
        MlflowClient().create_registered_model("digits")
        MlflowClient().create_model_version("digits", f"{run.artifact_uri}/model", run.run_id)
        plain = gate("models:/digits/1", "--tracking-uri", url)
        named = gate(
            *("models:/digits/1", "--tracking-uri", url, "--experiment", "gates"),
            *("--promote", "champion"),
        )
        held = MlflowClient().get_registered_model("digits").aliases
        made = {each.name for each in MlflowClient().search_experiments()}

    assert plain.exit_code == 0, plain.output
    assert named.exit_code == 0, named.output
    assert held == {"champion": "1"}
    assert made == {"first", "ban-gate", "gates"}


@pytest.mark.skipif(sys.platform == "win32", reason="homes are found otherwise there")
def test_without_a_home_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user has no entry in its list of users."""
    for name in ("BAN_GATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)

    done = gate("models:/digits/1")

    assert done.exit_code == 2, done.output
    assert "this user has no home folder; set `BAN_GATE_HOME`" in done.stderr
