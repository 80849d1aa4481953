"""A scan in a process of its own, as CI runs it, beside a server that lives or dies."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_project import commands

MODEL = commands.DEMO / "clean.onnx"


@pytest.mark.nightly
def test_a_child_process_keeps_its_streams_apart(
    few: Path, tmp_path: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CI runs it: the verdict alone on stdout, no bars on a stderr that is no terminal."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    command = [sys.executable, "-m", "mlflow_project", "scan", str(MODEL), "--samples", str(few)]

    done = subprocess.run(
        [*command, "--tracking-uri", mlflow_server], capture_output=True, text=True, check=False
    )

    assert done.returncode == 3
    assert done.stdout.startswith("inconclusive")
    assert done.stdout.count("\n") == 1
    assert "check_preconditions" in done.stderr
    assert "%" not in done.stderr
    assert "\r" not in done.stderr


QUICK = "neuron_noise.sweep=3; neuron_noise.samples=20"


@pytest.mark.nightly
def test_a_server_killed_during_the_scan_costs_only_the_record(
    mortal_server: tuple[str, Callable[[], None]], child: dict[str, str], tmp_path: Path
) -> None:
    """Exit 4 in bounded time; the verdict was told and written whole, and one sentence says why."""
    (url, kill), output = mortal_server, tmp_path / "out"
    command = [sys.executable, "-m", "mlflow_project", "scan", str(MODEL), "--output", str(output)]
    command += ["--samples", str(commands.DEMO / "samples.npz"), "--set", QUICK]
    child["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"  # the default only waits longer

    with subprocess.Popen(
        [*command, "--tracking-uri", url],
        env=child,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as scan:
        assert scan.stderr is not None
        while "inspect_onnx" not in (line := scan.stderr.readline()):
            assert line, "the scan ended before its first step"
        kill()
        killed = time.monotonic()
        stdout, stderr = scan.communicate(timeout=90)

    told = [line for line in stderr.splitlines() if line.startswith("ban-gate: ")]
    assert scan.returncode == 4, stderr
    assert len(told) == 1
    assert f"cannot record the scan at `{url}`" in told[0]
    assert "Traceback" not in stderr
    assert stdout.startswith(("clean  ", "backdoored  "))
    assert stdout.count("\n") == 1
    document = json.loads((output / "verdict.json").read_text(), parse_constant=pytest.fail)
    assert document["verdict"] == stdout.split()[0]
    assert list(output.glob("*.draft")) == []
    assert time.monotonic() - killed < 90
