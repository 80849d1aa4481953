"""Lines of output in the documentation are of the calibration that is shipped."""

from __future__ import annotations

import re

from stages.verdict.calibration import shipped
from stages.verdict.score import critical_value
from tests.support.places import ROOT

CLASSES = 10
RATE = 0.05
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_critical_values_are_those_of_now() -> None:
    """With references or without, at the usual rate and for the ten classes of the demo."""
    calibration = shipped()
    nulls = (calibration.alone, calibration.referenced)
    now = {f"{critical_value(RATE, null, CLASSES):.2f}" for null in nulls}

    printed = {
        (page.name, value)
        for page in PAGES
        for value in re.findall(r"critical value (\d+\.\d+)\)", page.read_text(encoding="utf-8"))
    }

    assert {value for _, value in printed} == now, printed
