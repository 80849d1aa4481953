"""The manifests in docs/sweep are valid, and their commands are run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped] # stubs are not worth a dependency

from mlflow_project.cli.exit_codes import EXIT_CODES
from pipeline.sweep.plan import in_shard, read_plan
from pipeline.sweep.results import results_of
from tests.support.places import ROOT
from tests.support.sweeps import line, sweep_folder

JOB, ARRAY = ROOT / "docs" / "sweep" / "kubernetes-job.yaml", ROOT / "docs/sweep/slurm-array.sh"


@pytest.fixture
def job() -> Any:
    """The Indexed Job."""
    return yaml.safe_load(JOB.read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep of versions without samples, which are done at once."""
    bare = {"samples": None, "samples_path": None, "samples_digest": None}
    return sweep_folder(tmp_path / "sweep", [line("net", n, **bare) for n in range(1, 9)], [])


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a node, where `ban-gate` is this checkout."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    command = binaries / "ban-gate"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlflow_project "$@"\n')
    command.chmod(0o755)
    return os.environ | {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "BAN_GATE_HOME": str(tmp_path / "home"),
    }


def test_the_job_is_valid(job: Any) -> None:
    """As Kubernetes' own schema says, with nothing that it does not know."""
    kubernetes_validate.validate(job, "1.33", strict=True)


def test_a_verdict_is_no_failure(job: Any) -> None:
    """Codes 1 and 3 never start a part again; 4, the server, does; wrong usage ends the job."""
    spec = job["spec"]
    actions = {
        code: rule["action"]
        for rule in spec["podFailurePolicy"]["rules"]
        for code in rule.get("onExitCodes", {}).get("values", ())
    }

    assert actions == {1: "FailIndex", 3: "FailIndex", 2: "FailJob"}
    assert set(actions) < set(EXIT_CODES.values())
    assert "--exit-zero" in job["spec"]["template"]["spec"]["containers"][0]["args"][0]
    assert (spec["completionMode"], spec["backoffLimitPerIndex"]) == ("Indexed", 3)
    assert f"$JOB_COMPLETION_INDEX/{spec['completions']}" in _pod_command(job)


@pytest.mark.nightly
def test_a_pod_works_on_its_part(job: Any, folder: Path, environment: dict[str, str]) -> None:
    """Its command, with Kubernetes' variable set and the volume where the sweep is."""
    script = _pod_command(job).replace("/sweep ", f"{folder} ")

    done = subprocess.run(
        [*job["spec"]["template"]["spec"]["containers"][0]["command"], script],
        env={**environment, "JOB_COMPLETION_INDEX": "3"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    _require_part(folder, 3, 8)


def test_a_task_works_on_its_part(folder: Path, environment: dict[str, str]) -> None:
    """The script, with Slurm's variables set."""
    slurm = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1"}

    done = subprocess.run(
        ["bash", str(ARRAY), str(folder)],
        env={**environment, **slurm},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    _require_part(folder, 1, 2)


def test_the_task_passes_a_failure_on(tmp_path: Path, environment: dict[str, str]) -> None:
    """So that Slurm sees it."""
    slurm = {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "2"}

    done = subprocess.run(
        ["bash", str(ARRAY), str(tmp_path / "nowhere")],
        env={**environment, **slurm},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 2


def _pod_command(job: Any) -> str:
    (script,) = job["spec"]["template"]["spec"]["containers"][0]["args"]
    return str(script)


def _require_part(folder: Path, number: int, count: int) -> None:
    plan = read_plan(folder)
    part = {each.id for each in plan.lines if in_shard(each, number, count)}
    assert set(results_of(plan, folder)) == part
