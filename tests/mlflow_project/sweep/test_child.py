"""The processes of scans: used again, ended in order, and gone with their parent."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from mlflow_project.sweep.child_process import Children
from mlflow_project.sweep.job import OUTCOME_FILE, Job
from pipeline.sweep.attempts import Attempts, attempts_at, begin
from pipeline.sweep.plan import Settings
from tests.support.places import DEMO

WORKER = [sys.executable, "-m", "mlflow_project.cli.sweep_child"]


def job_in(folder: Path, name: str) -> Job:
    """A scan of a file that is no model."""
    (folder / name).write_text(f"{name} is no model")
    return Job(
        key=name,
        model=str(folder / name),
        uri=name,
        samples=str(DEMO / "samples.npz"),
        settings=Settings(),
        attempts=str(folder / f"{name}.attempts"),
    )


def worker_of(folder: Path) -> str:
    """The process that made a folder."""
    worker: str = json.loads((folder / OUTCOME_FILE).read_text())["worker"]
    return worker


@pytest.mark.nightly
def test_a_process_does_one_job_after_another(tmp_path: Path) -> None:
    """One that takes long is ended alone, and the next job has a new one; none is left."""
    children, stop = Children(), threading.Event()
    jobs = {name: job_in(tmp_path, f"{name}.onnx") for name in ("one", "two", "long", "three")}
    jobs["long"] = replace(jobs["long"], seconds=0.0)

    ended = {name: children.run(job, tmp_path / name, stop) for name, job in jobs.items()}
    children.close()

    assert [each.kind for each in ended.values()] == ["done", "done", "died", "done"]
    assert "took more than 0 s" in ended["long"].reason
    assert worker_of(tmp_path / "one") == worker_of(tmp_path / "two")
    assert worker_of(tmp_path / "two") != worker_of(tmp_path / "three")
    assert "not an ONNX file" in (tmp_path / "two" / "verdict.json").read_text()
    assert not [
        each for each in psutil.Process().children(recursive=True) if WORKER[2] in each.cmdline()
    ]


@pytest.mark.nightly
def test_a_child_ends_well_where_it_is_told_to(tmp_path: Path) -> None:
    """It listens with a thread, which must not abort it at its end."""
    job = job_in(tmp_path, "broken.onnx")
    asked = json.dumps({"job": asdict(job), "target": str(tmp_path / "done")})

    ended = subprocess.run(
        WORKER, input=f"{asked}\nnull\n", capture_output=True, text=True, check=False, timeout=120
    )

    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert (tmp_path / "done" / OUTCOME_FILE).is_file()


def test_a_child_goes_with_its_parent(tmp_path: Path) -> None:
    """Whatever it is at; the attempt does not count as its death."""
    job = job_in(tmp_path, "broken.onnx")
    begin(Path(job.attempts))
    asked = json.dumps({"job": asdict(job), "target": str(tmp_path / "done")})

    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(f"{asked}\n")
        process.stdin.flush()
        while not list(tmp_path.glob("*done*")):
            assert process.poll() is None
        process.stdin.close()
        code = process.wait(60)

    assert code == 1
    assert attempts_at(Path(job.attempts)) == Attempts(started=1, deaths=0)
