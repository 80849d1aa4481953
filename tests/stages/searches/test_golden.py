"""The numbers of the demo models stay what they were when the searches were last changed.

What they are worth by the shipped calibration is another matter, so scores here are by hand.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from stages.searches import SEARCHES, STATISTICS
from stages.searches.screen import ScreenConfig, choose_classes, run
from stages.types import Verdict
from stages.verdict.calibration import Calibration, shipped
from stages.verdict.decide import judge
from stages.verdict.profile import ClassProfile, profile_of
from stages.verdict.settings import JudgeConfig
from stages.verdict.vetting import Vetted
from tests.support.places import ROOT
from tests.support.profiles import SETTINGS
from tests.support.subjects import demo_subject

GOLDEN = ROOT / "tests" / "support" / "golden" / "demo_statistics.json"
TOLERANCE = 1e-5
UNSETTLED, FURTHEST = 0.2, 0.05
"""The steps of a few classes amplify the last bits, in which processors differ: the share of values
that may be off by more than the tolerance, and by how much at most.
"""
each_model = pytest.mark.parametrize("model", ["clean", "patch", "blended"])


@cache
def golden() -> dict[str, Any]:
    """Verdicts, statistics and class scores of the demo models, as they are known."""
    known: dict[str, Any] = json.loads(GOLDEN.read_text())
    return known


@cache
def profile(model: str) -> ClassProfile:
    """What all searches say of a demo model by their default settings."""
    subject, configs = demo_subject(model), {each.name: each.settings() for each in SEARCHES}
    chosen = choose_classes(SEARCHES, subject, configs, ScreenConfig(), 0)
    results = {
        search.name: run(search, subject, configs[search.name], chosen.classes, 0)
        for search in SEARCHES
    }
    return profile_of(model, subject, chosen, results)


def judged(model: ClassProfile, calibration: Calibration) -> Verdict:
    """The verdict on a model without references."""
    return judge(model, Vetted(kept=(), remarks=()), calibration, JudgeConfig())


@each_model
def test_statistics_stay(model: str) -> None:
    """Every statistic of a demo model is the known one, on whatever processor."""
    known = golden()[model]

    assert tuple(known["statistics"]) == STATISTICS
    found = np.stack([profile(model).statistics[name] for name in STATISTICS])
    away = np.abs(found - np.stack([known["statistics"][name] for name in STATISTICS]))
    assert (away > TOLERANCE).mean() <= UNSETTLED
    assert away.max() <= FURTHEST


@each_model
def test_class_scores_stay(model: str) -> None:
    """Those of the known statistics, by a calibration of round numbers."""
    known = golden()[model]
    statistics = {name: np.float32(values) for name, values in known["statistics"].items()}

    scores = judged(replace(profile(model), statistics=statistics), SETTINGS).class_scores

    np.testing.assert_allclose(scores, known["class_scores"], rtol=0, atol=10 * TOLERANCE)


@each_model
def test_verdicts_stay(model: str) -> None:
    """By the shipped calibration the clean model passes, and the targets of the others are named,
    inside of what was calibrated.
    """
    known, verdict = golden()[model], judged(profile(model), shipped())

    assert (verdict.label, verdict.suspected_class) == (known["verdict"], known["suspected_class"])
    assert verdict.outside == ""
