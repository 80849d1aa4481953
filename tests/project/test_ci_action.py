"""The action and the component are valid, and their scripts are run as they stand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # stubs are not worth a dependency

from pipeline.file_digest import file_digest
from tests.support.ci_jobs import bash, filled, outputs
from tests.support.demo_samples import TOO_FEW, save_samples
from tests.support.places import DEMO, ROOT

ACTION = ROOT / "action.yml"
COMPONENT = ROOT / "docs" / "ci" / "gitlab-component" / "templates" / "scan.yml"
INSTALL = ROOT / ".ci" / "install"
QUICKER = "--set blend.faint_steps=8"
POINTER = "version https://git-lfs.github.com/spec/v1\n"
BLOCKED = "::error::the model is blocked: "

Step = Callable[..., "subprocess.CompletedProcess[str]"]


def _action() -> Any:
    return yaml.safe_load(ACTION.read_text(encoding="utf-8"))


def _steps() -> dict[str, Any]:
    return {step["name"]: step for step in _action()["runs"]["steps"] if "name" in step}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout with models and samples, and an environment that has ban-gate beside it."""
    place = tmp_path / "workspace"
    place.mkdir()
    for name in ("clean", "blended"):
        (place / f"{name}.onnx").write_bytes((DEMO / f"{name}.onnx").read_bytes())
    save_samples(place / "samples.npz")
    save_samples(place / "few.npz", TOO_FEW)
    (place / "pointer.onnx").write_text(POINTER)
    environment = tmp_path / "ban-gate" / "bin"
    environment.mkdir(parents=True)
    (environment / "ban-gate").symlink_to(Path(sys.executable).parent / "ban-gate")
    return place


@pytest.fixture
def step(workspace: Path, child: dict[str, str], sqlite_store: str, tmp_path: Path) -> Step:
    """Runs a named step of the action with its inputs, in a job of GitHub."""
    output = tmp_path / "output"
    job = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    job |= {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(workspace),
        "MLFLOW_TRACKING_URI": sqlite_store,
    }

    def run(name: str, **given: str) -> subprocess.CompletedProcess[str]:
        inputs = {key: str(each.get("default", "")) for key, each in _action()["inputs"].items()}
        inputs |= {key.replace("_", "-"): value for key, value in given.items()}
        values = {f"inputs.{key}": value for key, value in inputs.items()}
        values |= {"runner.temp": str(tmp_path), "github.action_path": str(ROOT)}
        kept = outputs(output)
        values |= {f"steps.scan.outputs.{key}": kept.get(key, "") for key in _scan_outputs()}
        found = _steps()[name]
        set_here = {key: filled(text, values) for key, text in found["env"].items()}
        return bash(found["run"], workspace, child | job | set_here)

    return run


def _scan_outputs() -> set[str]:
    return set(re.findall(r"steps\.scan\.outputs\.([\w-]+)", ACTION.read_text(encoding="utf-8")))


def _component(**given: str) -> tuple[Any, Any]:
    """The inputs of the component, and its job with their values."""
    spec, jobs = COMPONENT.read_text(encoding="utf-8").split("\n---\n")
    inputs = yaml.safe_load(spec)["spec"]["inputs"]
    values = {name: each["default"] for name, each in inputs.items() if "default" in each}
    values |= {"model": "clean.onnx", "samples": "samples.npz", "repository": "git@example:b.git"}
    values |= {"commit": "ab" * 20} | {key.replace("_", "-"): each for key, each in given.items()}
    return inputs, yaml.safe_load(
        filled(jobs, {f"inputs.{name}": value for name, value in values.items()})
    )


def test_both_are_valid(tmp_path: Path) -> None:
    """As the services' own schemas say; the component's two parts each by itself."""
    parts = [tmp_path / "spec.yml", tmp_path / "job.yml"]
    inputs, job = _component()
    parts[0].write_text(json.dumps({"spec": {"inputs": inputs}}))
    parts[1].write_text(json.dumps(job))

    for schema, paths in (("github-actions", [ACTION]), ("gitlab-ci", parts)):
        done = subprocess.run(
            [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
            + [str(path) for path in paths],
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stdout


def test_no_input_is_pasted_into_a_script() -> None:
    """They come as variables, so that what a pull request names a file is no command."""
    for each in _steps().values():
        assert "${{" not in each.get("run", "")
    _, jobs = _component(model="$(touch pwned)")
    (job,) = jobs.values()
    assert "pwned" not in json.dumps([job["before_script"], job["script"]])


def test_every_action_is_named_by_its_commit() -> None:
    """A tag may be moved; the version it had stands beside it for people."""
    lines = re.findall(r"uses: .+", ACTION.read_text(encoding="utf-8"))

    assert len(lines) == 4
    for line in lines:
        assert re.fullmatch(r"uses: [\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_evidence_is_kept_whatever_happens_and_forks_upload_nothing() -> None:
    """Alerts need a right that a pull request from a fork has not."""
    alerts, report = _steps()["Upload the alerts"]["if"], _steps()["Keep the report"]["if"]

    assert alerts.startswith("always()")
    assert report.startswith("always()")
    assert "github.event.pull_request.head.repo.fork != true" in alerts
    (job,) = _component()[1].values()
    assert job["artifacts"]["when"] == "always"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ""),
        ({"model": "clean.onnx\n\nblended.onnx\n"}, ""),
        ({"model": "models:/digits/3"}, ""),
        ({"model": "clean.onnx\npointer.onnx"}, "pointer.onnx is a pointer of Git LFS"),
        ({"samples": "pointer.onnx"}, "pointer.onnx is a pointer of Git LFS"),
        ({"samples_sha256": "ab" * 32}, "FAILED"),
        ({"samples_sha256": "right"}, ""),
        ({"fail_on": "never"}, "fail-on is 'never', expected not-clean or nothing"),
    ],
)
def test_what_is_given_is_checked_first(
    step: Step, workspace: Path, given: Mapping[str, str], told: str
) -> None:
    """Before minutes of installing: pointers, other samples, a word that means nothing."""
    known = {key: file_digest(workspace / "samples.npz") for key in given if given[key] == "right"}

    done = step(
        "Check what is given", **{"model": "clean.onnx", "samples": "samples.npz", **given, **known}
    )

    assert (done.returncode != 0) == bool(told), done.stderr
    assert told in done.stdout


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("model", "samples", "verdict", "code"),
    [
        ("clean.onnx", "few.npz", "inconclusive", 3),
        ("clean.onnx", "samples.npz", "clean", 0),
        ("blended.onnx", "samples.npz", "backdoored", 1),
        ("clean.onnx\nblended.onnx\n", "samples.npz", "backdoored", 1),
    ],
)
def test_the_action_scans_and_decides(
    step: Step, workspace: Path, tmp_path: Path, model: str, samples: str, verdict: str, code: int
) -> None:
    """The scan's step ends well, whatever the verdict, and the last one stops the job."""
    scanned = step("Scan", model=model, samples=samples, args=QUICKER)
    decided = step("Decide")
    lenient = step("Decide", fail_on="nothing")

    assert scanned.returncode == 0, scanned.stderr
    found = outputs(tmp_path / "output")
    assert (found["verdict"], found["exit-code"]) == (verdict, str(code))
    assert list((workspace / "report").rglob("verdict.sarif"))
    assert decided.returncode == (0 if code == 0 else 1)
    assert decided.stdout.startswith(BLOCKED if code else "the model may pass")
    assert lenient.returncode == 0


def test_a_scan_that_failed_is_no_pass(step: Step, tmp_path: Path) -> None:
    """Not even where verdicts stop nothing, and not where an option makes its exit code 0."""
    step("Scan", model="nowhere.onnx", samples="samples.npz")

    failed, lenient = step("Decide"), step("Decide", fail_on="nothing")
    (tmp_path / "output").write_text("exit-code=0\nverdict=backdoored\n")
    zeroed = step("Decide")

    assert failed.stdout == f"{BLOCKED}the scan itself failed (exit code 2)\n"
    assert (failed.returncode, lenient.returncode, zeroed.returncode) == (1, 1, 1)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        pytest.param({"samples": "few.npz"}, 3, marks=pytest.mark.nightly),
        pytest.param({"samples": "few.npz", "fail_on": "nothing"}, 0, marks=pytest.mark.nightly),
        ({"model": "nowhere.onnx", "fail_on": "nothing"}, 2),
        pytest.param({}, 0, marks=pytest.mark.nightly),
        pytest.param({"model": "blended.onnx clean.onnx"}, 1, marks=pytest.mark.nightly),
    ],
)
def test_the_component_scans_and_decides(
    workspace: Path,
    child: dict[str, str],
    sqlite_store: str,
    given: Mapping[str, str],
    code: int,
) -> None:
    """Its exit code is the scan's, and the reports are where the job keeps them."""
    (job,) = _component(args=QUICKER, **given)[1].values()
    beside = workspace / ".ban-gate" / ".venv"
    beside.parent.mkdir()
    beside.symlink_to(workspace.parent / "ban-gate")
    variables = {key: str(value) for key, value in job["variables"].items()}
    variables["MLFLOW_TRACKING_URI"] = sqlite_store

    done = bash("\n".join(job["script"]), workspace, child | variables)

    assert done.returncode == code, done.stderr
    assert bool(list(workspace.glob("report/**/junit.xml"))) == ("nowhere" not in str(given))


def test_other_samples_end_the_component(workspace: Path, child: dict[str, str]) -> None:
    """Before anything is fetched."""
    (job,) = _component(samples_sha256="ab" * 32)[1].values()
    variables = {key: str(value) for key, value in job["variables"].items()}

    done = bash(job["before_script"][0], workspace, child | variables)

    assert done.returncode == 1
    assert "FAILED" in done.stdout


@pytest.mark.parametrize("gpu", [False, True])
def test_torch_is_for_what_the_runner_has(tmp_path: Path, gpu: bool) -> None:
    """Without a GPU all of the lock but torch and what only GPUs need, else all of it."""
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\nexit {0 if gpu else 1}\n")
    driver.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DRY_RUN": "1"}

    done = bash(f"{INSTALL} venv https://index.example/cpu", tmp_path, environment)

    assert done.returncode == 0, done.stderr
    lock = set(re.findall(r"^([\w.-]+)(?:\[.*?\])?==", _lock(), re.MULTILINE))
    kept = set(re.findall(r"^([\w.-]+)(?:\[.*)?==", done.stdout, re.MULTILINE))
    kept |= set(re.findall(r"^([\w.-]+)\[", done.stdout, re.MULTILINE))
    only_gpus = {each for each in lock if each.startswith(("nvidia-", "cuda-", "triton"))}
    assert len(only_gpus) > 10
    assert lock - kept == (set() if gpu else {*only_gpus, "torch", "torchvision"})
    assert ("install --index-url https://index.example/cpu torch==" in done.stdout) != gpu
    assert "install --require-hashes --requirement" in done.stdout


def _lock() -> str:
    return (ROOT / "requirements.txt").read_text(encoding="utf-8")
