"""What the first steps of searches reached of measured models, and so which end early in a scan.

What is measured of models are whole searches, as others are compared with them. A scan ends some
early: this says which, by what `benchmarks.early_ends` measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from pipeline.config import ScanConfig
from stages.searches.search import Early, Effort
from stages.types import Floats
from stages.verdict.early_end import stands_out
from stages.verdict.profile import ClassProfile

FILE = Path(__file__).parent / "measured" / "first_steps" / "reached.jsonl"
Reached = Mapping[str, Floats]
"""What the first steps of each search reached (K,), by its name."""
JUDGE = ScanConfig().judge


def read(path: Path) -> dict[str, Reached]:
    """What was reached of each model, by its name."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {
        each["name"]: {
            name: np.array([np.nan if value is None else value for value in values], np.float32)
            for name, values in each["reached"].items()
        }
        for each in lines
    }


@cache
def measured() -> Mapping[str, Reached]:
    """What was reached of every model that was measured, by its name."""
    return read(FILE)


def ends(profile: ClassProfile, first: Reached, limit: float = JUDGE.outlying) -> list[str]:
    """The names of the searches that end early in a scan of the model."""
    judge = replace(JUDGE, outlying=limit)
    nothing = Effort(steps=0, images=0)
    return [
        name
        for name, values in first.items()
        if not stands_out(Early(reached=values, effort=nothing), profile.ordinary, judge)
    ]


def as_scanned(
    profile: ClassProfile, first: Reached, limit: float = JUDGE.outlying
) -> ClassProfile:
    """The profile with nothing said by the searches that end early."""
    silent = ends(profile, first, limit)
    said = {
        name: np.full_like(values, np.nan) if name.partition(".")[0] in silent else values
        for name, values in profile.statistics.items()
    }
    return replace(profile, statistics=said)
