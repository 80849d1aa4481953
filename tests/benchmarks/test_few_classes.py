"""The tables of models of few classes: each model once, by a calibration that has not seen it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from benchmarks.few_classes import KINDS, judged, main
from pipeline.config import ScanConfig
from stages.searches import SPECS
from tests.support.known_models import clean_models, few_models, known_model, write_zoo

EVIDENT = {
    name: np.array([0.0, 0.0 if spec.whole else 9.0], np.float32) for name, spec in SPECS.items()
}


def test_a_model_is_judged_once_beside_references_of_each_kind() -> None:
    """Where there are as many; a backdoor that is plain is found beside any."""
    bad = known_model("bad", EVIDENT, "badnets", task="signs-2-9")
    models = [*few_models(3), bad]

    verdicts = judged(models, models, ScanConfig())

    assert list(verdicts) == list(KINDS)
    counted = {kind: len(outcomes) for kind, outcomes in verdicts.items()}
    assert set(counted.values()) == {4, 1}
    for outcomes in verdicts.values():
        (found,) = [each for each in outcomes if each.name == "bad"]
        assert found.blocked
        assert found.suspected == 1


def test_the_command_prints_every_kind_by_both_calibrations(tmp_path: Path) -> None:
    """Also where a task is reported on that the calibration is of."""
    parts = [few_models(3, task=task) for task in ("digits-3-8", "fashion-0-6")]
    calibrating = write_zoo(tmp_path / "calibrating", [*parts[0], *parts[1], *clean_models(3)])
    reported = write_zoo(tmp_path / "reported", few_models(4, seed=3))

    run = CliRunner().invoke(main, ["--zoo", str(reported), "--calibrate-on", str(calibrating)])

    assert run.exit_code == 0, run.output
    for how in ("the shipped calibration", "one without the task"):
        assert f"\nBy {how}: clean models that are blocked\n" in run.output
    for kind in KINDS:
        assert run.output.count(f"| {kind} (too few) | 4 | ") == 2
