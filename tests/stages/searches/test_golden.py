"""The numbers of the demo models stay what they were when the searches were last changed."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from stages.searches import SEARCHES
from stages.searches.screen import ScreenConfig, run
from stages.verdict.calibration import shipped
from stages.verdict.decide import JudgeConfig, judge
from stages.verdict.profile import profile_of
from stages.verdict.vetting import Vetted
from tests.support.places import ROOT
from tests.support.subjects import demo_subject

GOLDEN = ROOT / "tests" / "support" / "golden" / "demo_statistics.json"
TOLERANCE = 1e-5


@cache
def golden() -> dict[str, Any]:
    """Verdicts and statistics of the demo models, as they were before the searches had one type."""
    known: dict[str, Any] = json.loads(GOLDEN.read_text())
    return known


@pytest.mark.parametrize("model", ["clean", "patch", "blended"])
def test_statistics_and_verdict_stay(model: str) -> None:
    """Every statistic, every class score and the verdict of a demo model are the known ones."""
    subject, known = demo_subject(model), golden()[model]
    results = {
        search.name: run(search, subject, search.settings(), ScreenConfig(), 0)
        for search in SEARCHES
    }

    profile = profile_of(model, subject, results)
    verdict = judge(profile, Vetted(kept=(), remarks=()), shipped(), JudgeConfig())

    for name, values in known["statistics"].items():
        np.testing.assert_allclose(profile.statistics[name], values, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(verdict.class_scores, known["class_scores"], rtol=0, atol=TOLERANCE)
    assert (verdict.label, verdict.suspected_class) == (known["verdict"], known["suspected_class"])
