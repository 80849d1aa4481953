"""The demo runs as shipped, and its scans are whole scans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlflow_project import commands
from mlflow_project.cli import main as cli

NAMES = ("clean", "patch", "blended")
QUICK = ("neuron_noise.sweep=3", "neuron_noise.samples=20")


def test_the_shipped_files_are_complete() -> None:
    """Three models, their samples, and the truth about each."""
    truths = json.loads((commands.DEMO / "truth.json").read_text())

    assert {Path(name).stem for name in truths} == set(NAMES)
    assert all((commands.DEMO / f"{name}.onnx").is_file() for name in NAMES)
    assert truths["clean"]["target"] is None
    assert truths["patch"]["target"] is not None


@pytest.mark.nightly
def test_the_demo_tells_each_verdict_beside_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three lines and a sentence, exit 0 whatever the verdicts, and one folder per model.

    The settings are too coarse for good verdicts; how good they are is a benchmark's matter.
    """
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    coarse = [part for setting in QUICK for part in ("--set", setting)]

    result = CliRunner().invoke(cli.main, ["demo", "--output", str(tmp_path / "out"), *coarse])

    assert result.exit_code == 0, result.stderr
    *lines, closing = result.stdout.splitlines()
    assert [line.split("   truth: ")[0].split()[-1] for line in lines] == [
        f"{name}.onnx" for name in NAMES
    ]
    assert closing.endswith("of 3 verdicts agree with the truth.")
    for name in NAMES:
        document = json.loads((tmp_path / "out" / name / "verdict.json").read_text())
        assert document["verdict"] in ("clean", "backdoored")
        assert (tmp_path / "out" / name / "recovered_triggers.svg").exists()
        assert f"{name}.onnx" in (tmp_path / "out" / name / "report.html").read_text()


def test_the_demo_records_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves nothing in the working directory."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    CliRunner().invoke(cli.main, ["demo", "--set", "precondition.min_samples=1000000"])

    assert list((tmp_path / "work").iterdir()) == []
