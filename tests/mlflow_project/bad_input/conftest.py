"""Where calls with something wrong in them find their files, run, and are recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner, Result

from mlflow_project.cli import main as cli
from tests.support.bad_calls import make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that a call may name."""
    folder = tmp_path_factory.mktemp("world")
    make_world(folder)
    return folder


@pytest.fixture(scope="module")
def experiment(sqlite_store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The options that record into an experiment of this module's own."""
    folder = tmp_path_factory.mktemp("artifacts")
    client = mlflow.MlflowClient(tracking_uri=sqlite_store)
    client.create_experiment(folder.name, str(folder))
    return ("--tracking-uri", sqlite_store, "--experiment", folder.name)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Runs `ban-gate` in this process, its store of results in the test's folder."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(cli.main, [str(each) for each in arguments])

    return invoke
