"""A CI job is told the verdict in its own way, and only if it is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_project import github
from pipeline.ci_formats.checks import Outcome
from pipeline.ci_formats.step_summary import output_lines, summary_text
from stages.errors import ConfigError

Make = Callable[..., Outcome]


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The variables of a step of GitHub Actions, whose files hold something already."""
    files = {"GITHUB_STEP_SUMMARY": tmp_path / "summary", "GITHUB_OUTPUT": tmp_path / "output"}
    for path in files.values():
        path.write_text("before\n")
    return {name: str(path) for name, path in files.items()} | {"GITHUB_ACTIONS": "true"}


def test_a_job_of_github_gets_summary_outputs_and_annotation(
    make_outcome: Make, job: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What other steps wrote is kept, and stdout stays for the verdict."""
    outcome = make_outcome()

    github.announce(outcome, job)

    told = capsys.readouterr()
    assert Path(job["GITHUB_STEP_SUMMARY"]).read_text() == f"before\n{summary_text(outcome)}"
    assert Path(job["GITHUB_OUTPUT"]).read_text() == f"before\n{output_lines(outcome)}"
    assert told.err.startswith("::error file=model.onnx,title=ban-gate backdoored::")
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_elsewhere_nothing_is_told(make_outcome: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the variables, or with empty ones, there is no job to tell."""
    github.require_writable({})
    github.announce(make_outcome(), {"GITHUB_OUTPUT": "", "GITHUB_ACTIONS": "false"})

    assert capsys.readouterr() == ("", "")


def test_a_file_that_cannot_be_written_is_found_first(job: dict[str, str], tmp_path: Path) -> None:
    """One sentence names file and variable, before a scan; nothing is appended by trying."""
    github.require_writable(job)

    with pytest.raises(ConfigError, match=r"named by \$GITHUB_OUTPUT, cannot be written"):
        github.require_writable({**job, "GITHUB_OUTPUT": str(tmp_path / "gone" / "output")})

    assert Path(job["GITHUB_STEP_SUMMARY"]).read_text() == "before\n"


@pytest.mark.parametrize("variable", ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"])
def test_paths_are_relative_to_the_repository(variable: str, tmp_path: Path) -> None:
    """The checkout of GitHub or GitLab, else the current folder."""
    assert github.root_folder({variable: str(tmp_path)}) == str(tmp_path)
    assert github.root_folder({variable: ""}) == str(Path.cwd())
