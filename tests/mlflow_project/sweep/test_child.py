"""The process of one scan ends by itself, and with nothing on its conscience."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from mlflow_project.sweep.job import OUTCOME_FILE, Job
from pipeline.sweep.plan import Settings
from tests.support.places import DEMO


def test_a_child_whose_parent_lives_ends_well(tmp_path: Path) -> None:
    """It waits for its parent's end with a thread, which must not abort it at its own."""
    (tmp_path / "broken.onnx").write_text("this is no model")
    job = Job(
        key="0",
        model=str(tmp_path / "broken.onnx"),
        uri="broken",
        samples=str(DEMO / "samples.npz"),
        settings=Settings(),
    )
    (tmp_path / "job.json").write_text(json.dumps(asdict(job)))
    arguments = [str(tmp_path / "job.json"), str(tmp_path / "done"), ""]

    with subprocess.Popen(
        [sys.executable, "-m", "mlflow_project.cli.sweep_child", *arguments],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said, code = process.stderr.read(), process.wait(60)

    assert (code, "Fatal" in said) == (0, False), said
    assert (tmp_path / "done" / OUTCOME_FILE).is_file()
    assert "not an ONNX file" in (tmp_path / "done" / "verdict.json").read_text()
