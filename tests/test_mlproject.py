"""`mlflow run` works in the project's folder, and its environment matches what is declared."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import yaml  # type: ignore[import-untyped] # stubs are not worth a dependency
from mlflow.projects import _project_spec
from mlflow.utils.environment import _PythonEnv

from mlflow_project import commands

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.usefixtures("mlflow_settings")


def _project(folder: Path) -> Any:
    """The entry points as MLflow reads them."""
    return _project_spec.load_project(str(folder))._entry_points  # type: ignore[no-untyped-call]


def _dependencies(path: Path) -> Any:
    """The requirements as MLflow reads them."""
    return _PythonEnv.from_conda_yaml(path).dependencies  # type: ignore[no-untyped-call]


def test_every_entry_point_runs_this_checkout() -> None:
    """The commands name the module, never an installed script, and leave out nothing."""
    points = _project(ROOT)

    assert set(points) == {"main", "scan", "demo"}
    assert points["main"].command == points["scan"].command
    for point in points.values():
        assert point.command.startswith("python -m mlflow_project ")
        assert all(f"{{{name}}}" in point.command for name in point.parameters)
        assert {each.type for each in point.parameters.values()} == {"string"}


def test_the_environment_holds_what_the_package_declares() -> None:
    """conda.yaml and pyproject.toml name the same requirements, and neither the project itself."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    listed = _dependencies(ROOT / "conda.yaml")

    assert listed[0] == "-c constraints.txt"
    assert sorted(listed[1:]) == sorted(declared)


def test_every_requirement_is_constrained() -> None:
    """constraints.txt pins each of them exactly, once."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==")[0].lower() for line in lines if line and not line.startswith("#")]
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())
    wanted = [line for line in conda["dependencies"][-1]["pip"] if "sys_platform !=" not in line]

    assert len(pins) == len(set(pins))
    for requirement in wanted[1:]:
        assert requirement.split(";")[0].split(">")[0].strip() in pins


def test_mlflow_run_leaves_the_answer_in_its_run(tmp_path: Path, sqlite_store: str) -> None:
    """Under `mlflow run` every non-zero code is 1 and the run FAILED; the tags say which it was."""
    with np.load(commands.DEMO / "samples.npz") as samples:
        np.savez(tmp_path / "few.npz", images=samples["images"][:20], labels=samples["labels"][:20])
    mlflow.set_tracking_uri(sqlite_store)
    experiment = mlflow.create_experiment("project", artifact_location=str(tmp_path / "artifacts"))
    parameters = {
        "model": commands.DEMO / "clean.onnx",
        "samples": tmp_path / "few.npz",
        "output": tmp_path / "out",
    }
    given = [part for key, value in parameters.items() for part in ("-P", f"{key}={value}")]
    scripts = Path(sys.executable).parent
    command = [str(scripts / "mlflow"), "run", str(ROOT), "--env-manager", "local", *given]

    done = subprocess.run(
        [*command, "--experiment-id", experiment],
        env={
            **os.environ,
            "MLFLOW_TRACKING_URI": sqlite_store,
            "BAN_GATE_HOME": str(tmp_path / "home"),
            "PATH": f"{scripts}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    (run,) = mlflow.MlflowClient().search_runs([experiment])
    assert done.returncode == 1, done.stderr
    assert run.data.tags["ban.verdict"] == "inconclusive", done.stderr
    assert run.data.tags["ban.gate"] == "block"
    assert run.data.tags["mlflow.source.type"] == "PROJECT"
    assert run.info.status == "FAILED"
    assert (tmp_path / "out" / "verdict.json").exists()
