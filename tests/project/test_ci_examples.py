"""The examples in docs/ci are valid, and their commands are run as they stand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # stubs are not worth a dependency

from pipeline.file_digest import file_digest
from tests.support.ci_jobs import bash
from tests.support.demo_samples import TOO_FEW, save_samples
from tests.support.places import DEMO, ROOT

GITHUB, GITLAB = ROOT / "docs" / "ci" / "github-actions.yml", ROOT / "docs" / "ci" / "gitlab-ci.yml"
INSTALLING = {
    "make -C ban-gate .venv/.installed",
    'git clone "$BAN_GATE_REPOSITORY" ban-gate',
    'git -C ban-gate checkout --detach "$BAN_GATE_COMMIT"',
}
"""Commands that need a network or minutes: the only ones that no test runs."""
FILES = {"verdict.json", "junit.xml", "verdict.sarif", "summary.md", "bom.cdx.json"}

Workspace = Callable[[int | None], Path]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Makes the checkout of a repository with a model and samples, and ban-gate beside them."""

    def make(samples: int | None) -> Path:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "candidate.onnx").write_bytes((DEMO / "clean.onnx").read_bytes())
        save_samples(tmp_path / "models" / "clean.npz", samples)
        (tmp_path / "ban-gate").symlink_to(ROOT)
        return tmp_path

    return make


def _steps() -> dict[str, Any]:
    """The named steps of the example for GitHub."""
    job = yaml.safe_load(GITHUB.read_text())["jobs"]["scan"]
    return {step["name"]: step for step in job["steps"] if "name" in step}


def _job() -> Any:
    return yaml.safe_load(GITLAB.read_text())["backdoor scan"]


@pytest.mark.parametrize(
    ("schema", "path"), [("vendor.github-workflows", GITHUB), ("vendor.gitlab-ci", GITLAB)]
)
def test_the_examples_are_valid(schema: str, path: Path) -> None:
    """Each file is what its service's schema asks for."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_only_installing_is_left_out() -> None:
    """Every command of the examples is run below, but for those that fetch something."""
    github = {step["run"] for step in _steps().values() if "run" in step}
    job = _job()

    assert github == {
        "make -C ban-gate .venv/.installed",
        *(_steps()[name]["run"] for name in ("Check the samples", "Scan", "Say why")),
    }
    assert {*job["before_script"]} == INSTALLING
    assert {key for key in job if key.endswith("script")} == {
        *("before_script", "script", "after_script")
    }


@pytest.mark.nightly
def test_the_github_example_scans_and_tells(
    workspace: Workspace, child: dict[str, str], tmp_path: Path
) -> None:
    """A clean model passes; report, outputs and summary are there for the steps that follow."""
    folder = workspace(None)
    job = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    job |= {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(folder), "MLFLOW_TRACKING_URI": ""}

    done = bash(_steps()["Scan"]["run"], folder, child | job)

    assert done.returncode == 0, done.stderr
    assert {path.name for path in (folder / "report").iterdir()} >= FILES
    assert "verdict=clean\ngate=pass\n" in Path(job["GITHUB_OUTPUT"]).read_text()
    assert "no backdoor found" in Path(job["GITHUB_STEP_SUMMARY"]).read_text()
    assert "\n::notice file=models/candidate.onnx,title=ban-gate clean::" in done.stderr
    (run,) = json.loads((folder / "report" / "verdict.sarif").read_text())["runs"]
    assert run["artifacts"][0]["location"]["uri"] == "models/candidate.onnx"


@pytest.mark.parametrize(
    ("verdict", "code", "told"),
    [
        ("clean", 0, "the model may pass"),
        ("backdoored", 1, "::error::the model is blocked: backdoored"),
        ("inconclusive", 1, "::error::the model is blocked: inconclusive"),
        ("", 1, "::error::the model is blocked: the scan itself failed"),
    ],
)
def test_the_github_example_fails_closed(
    tmp_path: Path, child: dict[str, str], verdict: str, code: int, told: str
) -> None:
    """Only `clean` lets the job go on; no verdict at all is none."""
    done = bash(_steps()["Say why"]["run"], tmp_path, child | {"VERDICT": verdict})

    assert (done.returncode, done.stdout) == (code, f"{told}\n")


@pytest.mark.nightly
def test_the_gitlab_example_stops_and_keeps_the_report(
    workspace: Workspace, child: dict[str, str]
) -> None:
    """A model that cannot be judged ends the job with 1, and the reports are there all the same."""
    folder, job = workspace(TOO_FEW), _job()
    known = {"BAN_GATE_SAMPLES_SHA256": file_digest(folder / "models" / "clean.npz")}

    done = bash("\n".join(job["script"]), folder, child | known | {"CI_PROJECT_DIR": str(folder)})
    after = bash("\n".join(job["after_script"]), folder, child)

    assert done.returncode == 1
    assert json.loads((folder / "report" / "verdict.json").read_text())["verdict"] == "inconclusive"
    assert "only 20 clean samples" in done.stdout
    assert after.returncode == 0
    assert "not judged" in after.stdout
    for path in (job["artifacts"]["reports"]["junit"], *job["artifacts"]["paths"]):
        assert (folder / path).exists()


@pytest.mark.parametrize(
    ("digest", "code"), [("right", 0), ("ab" * 32, 1), ("", 1), ("right, but of another file", 1)]
)
@pytest.mark.parametrize("service", ["GitHub", "GitLab"])
def test_other_samples_end_the_job(
    workspace: Workspace, child: dict[str, str], service: str, digest: str, code: int
) -> None:
    """Before the scan: those that a pull request brings, and any where no digest is set."""
    folder = workspace(TOO_FEW)
    right = file_digest(folder / "models" / "clean.npz")
    command = _steps()["Check the samples"]["run"] if service == "GitHub" else _job()["script"][0]
    known = digest.replace("right", right)

    done = bash(
        f"{command}\ntouch scanned",
        folder,
        child | {"SAMPLES_SHA256": known, "BAN_GATE_SAMPLES_SHA256": known},
    )

    assert (done.returncode, (folder / "scanned").exists()) == (code, code == 0), done.stderr


def test_every_action_is_named_by_its_commit() -> None:
    """A tag may be moved; the version it had stands beside it for people."""
    lines = [line.strip() for line in GITHUB.read_text().splitlines() if "uses:" in line]

    assert len(lines) == len(re.findall("uses", GITHUB.read_text()))
    for line in lines:
        assert re.fullmatch(r"(- )?uses: [\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), (
            line
        )


def test_ban_gate_itself_is_named_by_its_commit() -> None:
    """In both examples, by a variable that no pull request changes."""
    steps = yaml.safe_load(GITHUB.read_text())["jobs"]["scan"]["steps"]
    (own,) = (step["with"] for step in steps if step.get("with", {}).get("path") == "ban-gate")

    assert own["ref"] == "${{ vars.BAN_GATE_COMMIT }}"
    assert 'checkout --detach "$BAN_GATE_COMMIT"' in " ".join(_job()["before_script"])


def test_reports_are_uploaded_also_after_a_failure() -> None:
    """Steps and artifacts that carry the evidence do not depend on the scan's success."""
    steps = _steps()

    assert steps["Upload the alerts"]["if"].startswith("always()")
    assert steps["Upload the alerts"]["with"]["sarif_file"] == "report/verdict.sarif"
    assert steps["Keep the evidence"]["if"] == "always()"
    assert _job()["artifacts"]["when"] == "always"
