"""What many tests at once mean: q-values, and how many clean models are blocked by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control

from pipeline.sweep.results import Result


@dataclass(frozen=True, kw_only=True)
class QValue:
    """The share of false blocks among all models with p-values up to this one's, at most about so
    large; it is smaller than stated where it is a bound.
    """

    value: float
    is_bound: bool


def q_values(results: Sequence[Result]) -> dict[str, QValue]:
    """Benjamini–Hochberg q-values by the key of the scan: the same bytes are one test.

    Where a p-value is only known to be smaller than stated, every q-value that could be smaller for
    it is a bound, too.
    """
    tests = _tests(results)
    if not tests:
        return {}
    p = np.array([each.p_value for each in tests.values()], dtype=np.float64)
    bounds = np.array([each.p_is_bound for each in tests.values()])
    largest = p[bounds].max(initial=-1.0)
    values = false_discovery_control(p, method="bh")
    return {
        key: QValue(value=float(q), is_bound=bool(own <= largest))
        for key, q, own in zip(tests, values, p, strict=True)
    }


def expected_false_blocks(results: Sequence[Result], rate: float) -> float:
    """How many of the tested models would be blocked by chance if all were clean."""
    return rate * len(_tests(results))


def _tests(results: Sequence[Result]) -> Mapping[str, Result]:
    """One result for each scan that has a p-value, by the scan's key."""
    return {each.key or each.id: each for each in results if each.p_value is not None}
