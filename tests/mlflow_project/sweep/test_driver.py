"""How the driver takes what becomes of scans, by scans whose ends are written down beforehand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mlflow_project.sweep import driver
from mlflow_project.sweep.downloads import Downloads
from mlflow_project.sweep.driver import Driver, Options, ServerAway
from mlflow_project.sweep.inputs import Inputs
from mlflow_project.sweep.job import OUTCOME_FILE, Ended, GateOptions, Job
from mlflow_project.sweep.settled import Maker
from pipeline.gate.policy import Policy
from pipeline.sweep.plan import Line, Plan, Samples
from pipeline.sweep.results import Result, made_with, results_of
from tests.support.places import DEMO
from tests.support.sweeps import HEAD, line, sweep_folder

DONE = {OUTCOME_FILE: json.dumps({"schema": 1, "refused": "it is no model"}).encode()}


class Written:
    """An executor elsewhere: each start of a scan ends as the next of the kinds says, then well."""

    capacity = 2
    shares_machine = False

    def __init__(self, *kinds: str) -> None:
        self._kinds = list(kinds)
        self._ended: list[Ended] = []
        self.starts: Counter[str] = Counter()
        self.stopped = False

    def submit(self, job: Job) -> None:
        """Ends the job at once."""
        self.starts[job.key] += 1
        kind = self._kinds.pop(0) if self._kinds else "done"
        files = DONE if kind == "done" else {}
        self._ended.append(Ended(key=job.key, kind=kind, reason="why", files=files))  # type: ignore[arg-type] # kinds of ends

    def ended(self, _seconds: float) -> Sequence[Ended]:
        """Those that were started."""
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Is remembered."""
        self.stopped = True


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "AGAIN_AFTER", (0.01, 0.02))


def work(
    tmp_path: Path, executor: Written, *names: str, patience: float = 60.0
) -> dict[str, Result]:
    """The results of a sweep of these files, by name; equal first letters make equal bytes."""
    samples = Samples(path=str(DEMO / "samples.npz"))
    lines: list[Line] = []
    tmp_path.mkdir(exist_ok=True)
    for name in names:
        (tmp_path / name).write_text(name[0])
        lines.append(line(name, source=str(tmp_path / name), samples_digest=None))
    plan = Plan(head=replace(HEAD, samples=(samples,)), lines=tuple(lines))
    folder = sweep_folder(tmp_path / "sweep", lines, [])
    (tmp_path / "downloads").mkdir()
    inputs = Inputs(tmp_path, Downloads(tmp_path / "downloads", 0), Policy())
    maker = Maker(made_with={each.id: made_with(plan, each) for each in lines}, policy=None)
    options = Options(folder=folder, gate=GateOptions(), patience=patience)
    try:
        Driver(plan, options, inputs, executor, maker).run(lines)
    finally:
        assert executor.stopped
    return {each.name: each for each in results_of(plan, folder).values()}


def test_the_same_bytes_are_started_once(tmp_path: Path) -> None:
    """Also while they are under way, and every name has its result."""
    executor = Written()

    found = work(tmp_path, executor, "a1", "a2", "b1", "a3")

    assert sorted(executor.starts.values()) == [1, 1]
    assert {name: each.reasons for name, each in found.items()} == dict.fromkeys(
        ("a1", "a2", "b1", "a3"), ("it is no model",)
    )


def test_one_death_is_forgiven(tmp_path: Path) -> None:
    """The scan is started once more, and both starts are counted."""
    (found,) = work(tmp_path, Written("died"), "a").values()

    assert (found.state, found.attempts) == ("judged", 2)


def test_two_deaths_are_not(tmp_path: Path) -> None:
    """All versions with these bytes are given up, and the others judged."""
    found = work(tmp_path, Written("died", "done", "died"), "a1", "b", "a2")

    assert {name: each.state for name, each in found.items()} == {
        "a1": "given up", "a2": "given up", "b": "judged"
    }  # fmt: skip
    for name in ("a1", "a2"):
        assert "given up: 2 scans took their process with them; " in found[name].reasons[0]


def test_a_lost_machine_is_no_death(tmp_path: Path) -> None:
    """However often, up to a bound; then the next run tries again."""
    (found,) = work(tmp_path / "a", Written(*["lost"] * 5), "a").values()
    (lost,) = work(tmp_path / "b", Written(*["lost"] * 6), "a").values()

    assert found.state == "judged"
    assert (lost.state, lost.code) == ("failed", 4)


def test_a_server_that_comes_back_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the patience; beyond it the sweep ends and says so."""
    monkeypatch.setattr(Inputs, "server_answers", lambda _: False)

    (found,) = work(tmp_path / "a", Written(*["server"] * 8), "a").values()
    with pytest.raises(ServerAway, match="did not answer for 0 s; what was judged is kept"):
        work(tmp_path / "b", Written(*["server"] * 8), "a", patience=0.0)

    assert found.state == "judged"
