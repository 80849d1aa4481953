"""A sweep on a real Ray cluster of three nodes on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import Result as Called

from pipeline.sweep.plan import read_plan
from pipeline.sweep.results import RESULTS, Result, results_of
from tests.support.ray_nodes import three_nodes
from tests.support.sweeps import call

pytestmark = pytest.mark.nightly

Planned = Callable[..., Path]


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[Any]:
    """Three nodes with a core each; the tasks find this checkout."""
    assert place
    with three_nodes() as started:
        yield started


def command(folder: Path, cluster: Any, *options: str) -> list[str]:
    """The command line of a sweep on the cluster."""
    run = [sys.executable, "-m", "mlflow_project", "sweep", "run", str(folder)]
    return [*run, "--ray", cluster.address, *options]


def results(folder: Path) -> dict[str, Result]:
    """The results in a folder by name."""
    return {each.name: each for each in results_of(read_plan(folder), folder).values()}


def test_the_cluster_says_what_this_machine_says(
    cluster: Any, swept: tuple[Path, Called], tmp_path: Path
) -> None:
    """The same results and evidence, apart from when and where."""
    folder, _ = swept
    (tmp_path / "there").mkdir()
    shutil.copy(folder / "plan.jsonl", tmp_path / "there")

    done = subprocess.run(command(tmp_path / "there", cluster), check=False, timeout=500)

    here, there = results(folder), results(tmp_path / "there")
    assert done.returncode == 3
    assert set(here) == set(there)
    for name, each in here.items():
        other = there[name]
        assert (each.verdict, each.reasons, each.key) == (other.verdict, other.reasons, other.key)
        assert each.content_digest == other.content_digest
        assert (tmp_path / "there" / "scans" / str(each.key) / "outcome.json").is_file()


def test_a_node_that_goes_away_costs_nothing(cluster: Any, planned: Planned) -> None:
    """What ran there is done elsewhere, and counts no death."""
    folder = planned(tuple("abcdef"))
    extra = cluster.add_node(num_cpus=1)
    process = subprocess.Popen(command(folder, cluster))
    _wait_for(lambda: any((folder / RESULTS).glob("*.json")))

    cluster.remove_node(extra, allow_graceful=False)

    assert process.wait(500) == 3
    assert {each.state for each in results(folder).values()} == {"judged"}
    assert len(results(folder)) == 6


def test_sigterm_leaves_nothing_running(cluster: Any, planned: Planned) -> None:
    """Neither tasks nor their processes, and no result that is none; the rest waits."""
    folder = planned(tuple("abcd"))
    process = subprocess.Popen(command(folder, cluster))
    _wait_for(lambda: bool(_scans()))

    process.send_signal(signal.SIGTERM)

    assert process.wait(120) == 143
    _wait_for(lambda: not _scans(), 30)
    assert call("status", folder).exit_code == 4
    assert len(results(folder)) == len(list((folder / RESULTS).iterdir())) < 4


def test_more_than_there_is_is_refused(cluster: Any, planned: Planned) -> None:
    """Before anything is sent, with what there is."""
    folder = planned(("a",))

    done = subprocess.run(
        command(folder, cluster, "--gpus-per-scan", "1"),
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert done.returncode == 2
    assert "one scan asks for 1 and 1; ask for less, or add machines" in done.stderr


def test_no_cluster_is_said_so(planned: Planned) -> None:
    """With how to start one."""
    done = call("run", planned(("a",)), "--ray", "127.0.0.1:1")

    assert done.exit_code == 2
    assert "no Ray cluster can be reached at `127.0.0.1:1`" in done.stderr


def _scans() -> list[psutil.Process]:
    """The processes of scans that this test's cluster runs."""
    home = os.environ["BAN_GATE_HOME"]
    found = []
    for each in psutil.process_iter(["cmdline", "environ"]):
        line, environment = each.info["cmdline"] or [], each.info["environ"] or {}
        if "mlflow_project.cli.sweep_child" in line and environment.get("BAN_GATE_HOME") == home:
            found.append(each)
    return found


def _wait_for(happened: Callable[[], bool], seconds: float = 400.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
