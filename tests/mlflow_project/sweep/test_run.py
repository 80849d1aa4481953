"""A sweep on this machine: one result a version, the same bytes once, whatever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from click.testing import Result as Called

from pipeline.sweep.attempts import attempts_at
from pipeline.sweep.plan import read_plan
from pipeline.sweep.results import ATTEMPTS, RESULTS, SCANS, Result, results_of
from tests.support.places import DEMO, ROOT
from tests.support.sweeps import call
from tests.support.verdict_schema import faults

Planned = Callable[..., Path]
Swept = tuple[Path, Called]


def run(folder: Path, *options: object) -> Called:
    """Works on a plan, one scan at a time."""
    return call("run", folder, "--workers", 1, *options)


def results(folder: Path) -> dict[str, Result]:
    """The results in a folder by name; each has a file of its own, and there are no others."""
    found = {each.name: each for each in results_of(read_plan(folder), folder).values()}
    assert {each.stem for each in (folder / RESULTS).iterdir()} == {e.id for e in found.values()}
    return found


def starts(folder: Path) -> int:
    """How many scans were started."""
    return sum(attempts_at(each).started for each in (folder / ATTEMPTS).iterdir())


def deaths(folder: Path) -> int:
    """How many of them took their process with them."""
    return sum(attempts_at(each).deaths for each in (folder / ATTEMPTS).iterdir())


def test_every_version_gets_its_result_and_the_same_bytes_one_scan(swept: Swept) -> None:
    """The evidence is that of a scan, and lies apart."""
    folder, done = swept

    found = results(folder)

    assert done.exit_code == 3, done.output
    assert set(found) == {"broken.onnx", "clean.onnx", "team/copy.onnx"}
    assert {each.state for each in found.values()} == {"judged"}
    copy = found["team/copy.onnx"]
    assert copy.key == found["clean.onnx"].key
    assert len(list((folder / SCANS).iterdir())) == starts(folder) == 2
    assert "not an ONNX file" in found["broken.onnx"].reasons[0]
    assert "500 clean samples" in copy.reasons[0]
    document = json.loads((folder / SCANS / str(copy.key) / "verdict.json").read_text())
    assert document["model"]["content_digest"] == copy.content_digest
    assert not faults(document)


def test_a_second_run_has_nothing_to_do(swept: Swept) -> None:
    """And ends with the same code."""
    folder, _ = swept
    before = {each: each.stat().st_mtime_ns for each in folder.rglob("*")}

    done = run(folder)

    assert done.exit_code == 3
    assert {each: each.stat().st_mtime_ns for each in folder.rglob("*")} == before


def test_status_counts_from_files_alone(swept: Swept, planned: Planned) -> None:
    """Before, and after; as JSON for programs."""
    before = call("status", planned(("one", "two")))
    after = call("status", swept[0], "--json")

    assert before.exit_code == 4
    assert before.stdout == "2 versions: 2 waiting; 0 blocked\n"
    assert after.exit_code == 3
    assert json.loads(after.stdout)["counts"] == {"inconclusive": 3, "waiting": 0}


def test_a_report_joins_the_results(swept: Swept) -> None:
    """In four files, with one line that says what matters."""
    folder, _ = swept

    done = call("report", folder)

    assert done.exit_code == 3, done.output
    assert done.stdout.startswith("3 inconclusive; 0 blocked, 0.0 false blocks expected among 0")
    assert {"report.html", "report.jsonl", "junit.xml", "sweep.sarif"} <= {
        each.name for each in folder.iterdir()
    }
    assert call("report", folder, "--exit-zero").exit_code == 0


def test_without_samples_nothing_is_judged(planned: Planned, tmp_path: Path) -> None:
    """But it is listed, and counts as not judged."""
    table = tmp_path / "samples.toml"
    table.write_text(f"[[samples]]\nmodels = 'b*'\npath = '{DEMO / 'samples.npz'}'\n")
    folder = planned(("a", "c"), "--samples", table)

    done = run(folder)

    found = results(folder)
    assert done.exit_code == 3
    assert [each.state for each in found.values()] == ["no samples"] * 2
    assert "no rule of the table fits `a.onnx`" in found["a.onnx"].reasons[0]


def test_shards_share_the_work(planned: Planned, tmp_path: Path) -> None:
    """Each version is in one of them; a shard's exit code is about its own versions."""
    table = tmp_path / "samples.toml"
    table.write_text(f"[[samples]]\nmodels = 'x'\npath = '{DEMO / 'samples.npz'}'\n")
    folder = planned(tuple("abcdefgh"), "--samples", table)

    codes = [run(folder, "--shard", f"{number}/3").exit_code for number in range(3)]

    assert len(results(folder)) == 8
    assert set(codes) <= {0, 3}


@pytest.mark.nightly
def test_what_hangs_twice_is_given_up(planned: Planned) -> None:
    """And reported; `--again` forgets it."""
    folder = planned(("one",))

    lost = run(folder, "--seconds-per-scan", 1)
    (found,) = results(folder).values()
    still = run(folder)
    again = run(folder, "--again")

    assert (lost.exit_code, still.exit_code, again.exit_code) == (3, 3, 3)
    assert (found.state, found.attempts) == ("given up", 2)
    assert "2 scans took their process with them; the scan took more than 1 s" in found.reasons[0]
    assert [each.state for each in results(folder).values()] == ["judged"]


@pytest.mark.nightly
def test_a_scan_that_is_killed_is_tried_again(planned: Planned) -> None:
    """Its death costs this version one attempt, and the others nothing."""
    folder = planned(("one", "two"))

    with started(folder) as process:
        child_of(process).kill()
        code = process.wait(300)

    attempts = sorted(each.attempts for each in results(folder).values())
    assert (code, attempts) == (3, [1, 2])


@pytest.mark.nightly
def test_after_kill_9_nothing_is_judged_twice(planned: Planned) -> None:
    """Scans end with the sweep, which is no death of theirs; the next run does the rest."""
    folder = planned(("one", "two"))
    with started(folder) as process:
        wait_for(lambda: any((folder / RESULTS).glob("*.json")))
        child = child_of(process)
        process.kill()
        process.wait(30)
        child.wait(30)
    before = results_of(read_plan(folder), folder)
    evidence = {each: each.stat().st_mtime_ns for each in (folder / SCANS).glob("*/*")}
    died_of_it = deaths(folder)

    done = run(folder)

    after = results_of(read_plan(folder), folder)
    assert done.exit_code == 3, done.output
    assert before
    assert died_of_it == 0
    assert {key: after[key] for key in before} == before
    assert {each: each.stat().st_mtime_ns for each in evidence} == evidence
    assert len(after) == 2
    assert deaths(folder) == 0


@pytest.mark.nightly
def test_an_end_by_signal_is_in_good_order(planned: Planned) -> None:
    """SIGTERM leaves no process, no half result, and no death."""
    folder = planned(("one",))
    with started(folder) as process:
        child = child_of(process)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)

    assert code == 143
    assert not child.is_running()
    assert deaths(folder) == 0
    assert not list((folder / RESULTS).iterdir())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--shard", "2/2"), "give I/N with I from 0 to N-1"),
        (("--promote", "champion"), "say --write, too"),
        (("--max-downloads", "much"), "is no size"),
    ],
)
def test_wrong_options_are_refused(planned: Planned, options: tuple[str, ...], told: str) -> None:
    """Before anything is judged."""
    folder = planned(("one",))

    done = run(folder, *options)

    assert done.exit_code == 2
    assert told in done.stderr
    assert not (folder / RESULTS).exists()


def test_changed_samples_are_refused(planned: Planned, tmp_path: Path) -> None:
    """A result would not say what it was made with."""
    samples = tmp_path / "samples.npz"
    samples.write_bytes((DEMO / "samples.npz").read_bytes())
    folder = planned(("one",), "--samples", samples)
    samples.write_bytes(samples.read_bytes() + b" ")

    done = run(folder)

    assert done.exit_code == 2
    assert "have changed since the plan was made; plan again" in done.stderr


class started:  # noqa: N801 (reads as a verb)
    """A sweep in a process of its own, with one scan at a time; killed at the end if need be."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "mlflow_project", "sweep", "run", str(folder)]
        self.process = subprocess.Popen(
            [*command, "--workers", "1"], env={**os.environ, "PYTHONPATH": str(ROOT)}
        )

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(30)


def child_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The process of the scan that runs."""
    found: list[psutil.Process] = []

    def look() -> bool:
        for each in psutil.Process(process.pid).children():
            with suppress(psutil.Error):  # it may end meanwhile
                if "mlflow_project.cli.sweep_child" in each.cmdline():
                    found.append(each)
        return bool(found)

    wait_for(look)
    return found[0]


def wait_for(happened: Callable[[], bool], seconds: float = 240.0) -> None:
    """Waits until something is the case."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
