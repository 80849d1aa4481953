"""Scans that are ended from outside, or begin together, lose nothing and leave nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_project import commands
from tests.support.demo_samples import TOO_FEW, save_samples

MODEL = commands.DEMO / "clean.onnx"
COMMAND = [sys.executable, "-m", "mlflow_project", "scan", str(MODEL)]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where scans run: their environment, their database and the folder of temporary files."""

    environment: dict[str, str]
    uri: str
    temporary: Path
    few: Path

    def start(self, samples: Path) -> subprocess.Popen[str]:
        """A scan in a process of its own."""
        return subprocess.Popen(
            [*COMMAND, "--samples", str(samples), "--tracking-uri", self.uri],
            env=self.environment,
            cwd=self.temporary.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def searching(self) -> subprocess.Popen[str]:
        """A scan that has come to its searches."""
        scan = self.start(commands.DEMO / "samples.npz")
        assert scan.stderr is not None
        told = []
        while "check_preconditions" not in (line := scan.stderr.readline()):
            told.append(line)
            assert line, "".join(told[-12:])
        return scan

    def judge_few(self) -> int:
        """A whole scan that ends quickly, and its exit code."""
        scan = self.start(self.few)
        scan.communicate(timeout=120)
        return scan.returncode

    def runs(self) -> list[Run]:
        """All runs, the latest first."""
        client = MlflowClient(self.uri)
        experiments = [each.experiment_id for each in client.search_experiments()]
        found: list[Run] = client.search_runs(experiments)
        return found

    def left(self) -> list[str]:
        """What lies among the temporary files."""
        return [each.name for each in self.temporary.iterdir() if "ban-gate" in each.name]


@pytest.fixture
def place(child: dict[str, str], tmp_path: Path) -> Place:
    """A folder of its own for everything."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return Place(
        environment={**child, "TMPDIR": str(temporary)},
        uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
        temporary=temporary,
        few=save_samples(tmp_path / "few.npz", TOO_FEW),
    )


@pytest.fixture
def heard() -> Iterator[None]:
    """Children hear SIGHUP, also where these tests run under `nohup`, which lets none be heard."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.nightly
@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_the_run_and_removes_the_folder(place: Place, name: str, code: int) -> None:
    """One sentence, the shell's exit code, a run that is KILLED."""
    scan = place.searching()
    assert place.left() != []

    scan.send_signal(getattr(signal, name))
    _, stderr = scan.communicate(timeout=60)

    assert scan.returncode == code, stderr
    last = stderr.splitlines()[-1]
    assert last.startswith(f"ban-gate: ended by {name}; nothing was judged")
    assert [run.info.status for run in place.runs()] == ["KILLED"]
    assert place.left() == []


def test_what_a_killed_scan_leaves_is_gone_after_the_next(place: Place) -> None:
    """A run that would be RUNNING for ever, and a folder with a copy of the model."""
    scan = place.searching()
    scan.kill()
    scan.communicate(timeout=60)
    assert [run.info.status for run in place.runs()] == ["RUNNING"]
    assert place.left() != []

    assert place.judge_few() == 3

    assert sorted(run.info.status for run in place.runs()) == ["FINISHED", "KILLED"]
    assert place.left() == []


@pytest.mark.nightly
def test_a_scan_leaves_those_that_run_alone(place: Place) -> None:
    """Neither their runs nor their folders are touched."""
    scan = place.searching()
    scan.send_signal(signal.SIGSTOP)  # however slow this machine is, it does not end meanwhile
    folders = place.left()

    assert place.judge_few() == 3

    assert sorted(run.info.status for run in place.runs()) == ["FINISHED", "RUNNING"]
    assert place.left() == folders
    scan.send_signal(signal.SIGCONT)
    scan.terminate()
    scan.communicate(timeout=60)


@pytest.mark.nightly
def test_scans_may_begin_together_on_a_new_database(place: Place) -> None:
    """None finds half a database."""
    scans = [place.start(place.few) for _ in range(3)]

    told = [scan.communicate(timeout=240)[1] for scan in scans]

    assert [scan.returncode for scan in scans] == [3, 3, 3], told
    assert [run.info.status for run in place.runs()] == ["FINISHED"] * 3
