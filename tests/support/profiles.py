"""Class profiles built by hand, and a calibration with round numbers to score them by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from stages.searches import SPECS, STATISTICS
from stages.types import Floats
from stages.verdict.calibration import Calibration, Null, Range, Row, Tail
from stages.verdict.profile import ClassProfile

CLASSES = 10
BLEND, CERTAIN, STRONG = "blend.margin", "blend.standardised_margin", "blend.strong_margin"
PATCH, WARP = "patch.standardised_margin", "warp.standardised_margin"
NOISE = "neuron_noise.margin"
WHOLE = tuple(name for name, spec in SPECS.items() if spec.whole)
"""The statistics of the whole model."""
ONLY_BESIDE = tuple(name for name, spec in SPECS.items() if spec.only_beside)
"""Those that count beside references only."""
USUAL = -1.0
"""What statistics say where nothing stands out, but for the strong margin."""
NULL = Null(location=3.0, scale=1.8, growth=3.0, up_to=1000, n=63)
REFERENCED = Null(location=1.0, scale=1.0, growth=2.0, up_to=1000, n=1284)
FEW = Null(location=2.0, scale=1.5, growth=0.0, up_to=3, n=40)


def tail(least: float = 0.5, centre: float = 0.0, upper: float = 1.0, scale: float = 0.5) -> Tail:
    """A tail in which a tenth of the classes stands out by 1."""
    return Tail(centre=centre, least=least, upper=upper, scale=scale)


def row(least: float = 0.5, gap: float = 0.2, centre: float = 0.0) -> Row:
    """A row of the calibration; `gap` is the least deviation from references."""
    return Row(alone=tail(least, centre), referenced=tail(gap), few=tail(gap), n=63)


SETTINGS = Calibration(
    range=Range(
        fewest_fitted=5,
        fewest_classes=5,
        most_classes=100,
        few_classes=3,
        smallest_side=8,
        largest_side=224,
    ),
    alone=NULL,
    referenced=REFERENCED,
    few=FEW,
    rows={name: row() for name in STATISTICS}
    | {PATCH: row(least=0.25, gap=0.1)}
    | {name: row(centre=USUAL) for name in WHOLE},
)
"""Round numbers: a class that leads by 0.5 has z = 1 in most statistics."""


def with_tail(calibration: Calibration, statistic: str, **changes: float) -> Calibration:
    """The calibration with another tail alone for one statistic."""
    known = calibration.rows[statistic]
    changed = replace(known, alone=replace(known.alone, **changes))
    return replace(calibration, rows={**calibration.rows, statistic: changed})


def profile(
    added: Mapping[str, Mapping[int, float]] | None = None,
    *,
    name: str = "model",
    accuracy: float = 0.95,
    classes: int = CLASSES,
    side: int = 32,
) -> ClassProfile:
    """A profile of classes that are all alike, but for what is added to some in a statistic."""
    values = {
        each: np.full(classes, 2.0 if each == STRONG else USUAL, np.float32) for each in STATISTICS
    }
    for statistic, amounts in (added or {}).items():
        values[statistic][list(amounts)] += np.array(list(amounts.values()), np.float32)
    return ClassProfile(
        name=name,
        digest=f"digest of {name}",
        samples="digest of samples",
        clean_accuracy=accuracy,
        side=side,
        ordinary=np.arange(classes),
        statistics=values,
    )


def drawn(seed: int, name: str = "model", spread: float = 1.0) -> ClassProfile:
    """A profile whose classes differ at random; what is said of the whole model is one draw."""
    random = np.random.default_rng(seed)
    added = {
        each: dict.fromkeys(range(CLASSES), random.normal(0, spread))
        if each in WHOLE
        else dict(enumerate(random.normal(0, spread, CLASSES)))
        for each in STATISTICS
    }
    return profile(added, name=name)


def everywhere(amount: float, classes: int = CLASSES) -> dict[int, float]:
    """The same amount for every class, as it is added to a statistic of the whole model."""
    return dict.fromkeys(range(classes), amount)


def searched_only(model: ClassProfile, searched: list[int], ordinary: list[int]) -> ClassProfile:
    """The profile with nothing said of other classes, but in statistics of the whole model."""
    values = {}
    for name, known in model.statistics.items():
        values[name] = known.copy()
        if name not in WHOLE:
            values[name][np.setdiff1d(np.arange(model.classes), searched)] = np.nan
    return replace(model, statistics=values, ordinary=np.array(ordinary))


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
