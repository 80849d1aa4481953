"""Class profiles built by hand, and a calibration with round numbers to score them by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from stages.searches import STATISTICS
from stages.types import Floats
from stages.verdict.calibration import Calibration, Null, Row, Shared
from stages.verdict.profile import ClassProfile

CLASSES = 10
BLEND, CERTAIN, STRONG = "blend.margin", "blend.standardised_margin", "blend.strong_margin"
PATCH, WARP = "patch.standardised_margin", "warp.standardised_margin"
NOISE = "neuron_noise.margin"
NULL = Null(location=2.0, scale=0.8, n=63)


def row(weight: float = 1.0, spread: float = 0.5, gap: float = 0.2) -> Row:
    """A row of the calibration."""
    return Row(weight=weight, spread=spread, gap=gap, n=63)


SETTINGS = Calibration(
    shared=Shared(reference_weight=1.0, classes=CLASSES, growth=0.45),
    alone=NULL,
    referenced=Null(location=3.0, scale=1.2, n=1284),
    rows={name: row() for name in STATISTICS}
    | {STRONG: row(weight=0.125), PATCH: row(spread=0.25, gap=0.1), NOISE: row(weight=0.5)},
)
"""Every statistic has a weight, unlike in the shipped calibration, so every one can be seen."""


def with_row(calibration: Calibration, statistic: str, **changes: float) -> Calibration:
    """The calibration with other numbers for one statistic."""
    changed = replace(calibration.rows[statistic], **changes)  # type: ignore[arg-type] # real fields
    return replace(calibration, rows={**calibration.rows, statistic: changed})


def profile(
    added: Mapping[str, Mapping[int, float]] | None = None,
    *,
    name: str = "model",
    accuracy: float = 0.95,
    classes: int = CLASSES,
) -> ClassProfile:
    """A profile of classes that are all alike, but for what is added to some in a statistic."""
    values = {
        each: np.full(classes, 2.0 if each == STRONG else -1.0, np.float32) for each in STATISTICS
    }
    for statistic, amounts in (added or {}).items():
        values[statistic][list(amounts)] += np.array(list(amounts.values()), np.float32)
    return ClassProfile(
        name=name,
        digest=f"digest of {name}",
        samples="digest of samples",
        clean_accuracy=accuracy,
        statistics=values,
    )


def drawn(seed: int, name: str = "model", spread: float = 1.0) -> ClassProfile:
    """A profile whose classes differ at random."""
    random = np.random.default_rng(seed)
    added = {each: dict(enumerate(random.normal(0, spread, CLASSES))) for each in STATISTICS}
    return profile(added, name=name)


def with_values(model: ClassProfile, **values: Floats) -> ClassProfile:
    """The profile with other values (K,) of some statistics by their full names."""
    return replace(model, statistics={**model.statistics, **values})


def powerful(model: ClassProfile) -> ClassProfile:
    """The profile with a strong pattern that wins for every class, so that it can be judged."""
    return with_values(model, **{STRONG: np.abs(model.statistics[STRONG])})


def values_of(model: ClassProfile) -> Floats:
    """What every statistic says of every class: (statistics, K)."""
    rows: Floats = np.stack([model.statistics[name] for name in STATISTICS])
    return rows
