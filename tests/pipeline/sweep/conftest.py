"""Sweeps for the tests of reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.sweep.rows import Sweep, sweep_in
from tests.support.sweeps import blocked, line, result, sweep_folder

NAMES = ("fine", "bad", "worse", "unsure", "alone", "lost", "away", "waits")


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """One version of every kind."""
    fine, bad, worse, unsure, alone, lost, away, waits = (line(name, 1) for name in NAMES)
    nothing = {"anomaly_score": None, "critical_value": None, "p_value": None, "action": "block"}
    results = [
        result(fine),
        blocked(bad, anomaly_score=5.0, p_value=0.02),
        blocked(worse, p_value=0.01, p_is_bound=True),
        result(unsure, verdict="inconclusive", reasons=("only <b>3</b> [x](y)",), **nothing),
        result(alone, state="no samples", verdict=None, reasons=("no samples",), **nothing),
        result(lost, state="given up", verdict=None, reasons=("given up",), **nothing),
        result(away, state="failed", verdict=None, reasons=("no answer",), **nothing),
    ]
    lines = (fine, bad, worse, unsure, alone, lost, away, waits)
    return sweep_in(sweep_folder(tmp_path / "sweep", lines, results))
