"""A search in which no class stands out after its first steps says nothing, whatever it would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.searches import SPECS, STATISTICS
from stages.searches.search import Early, Effort, SearchResult
from stages.types import Floats
from stages.verdict.calibration import shipped
from stages.verdict.early_end import as_if_ended, stands_out
from stages.verdict.profile import ClassProfile
from stages.verdict.score import scores
from stages.verdict.settings import JudgeConfig

CONFIG = JudgeConfig()
ALL = np.arange(10)


def early(values: Floats) -> Early:
    """What so many classes reached."""
    return Early(reached=values.astype(np.float32), effort=Effort(steps=20, images=80))


def test_one_class_that_stands_out_is_enough() -> None:
    """Above the median by so many deviations; below it none does."""
    plain = np.linspace(0, 1, 10)
    up, down = plain.copy(), plain.copy()
    up[4], down[4] = 4.0, -4.0

    assert not stands_out(early(plain), ALL, CONFIG)
    assert stands_out(early(up), ALL, CONFIG)
    assert not stands_out(early(down), ALL, CONFIG)


@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.floats(-50, 50))
@settings(max_examples=100)
def test_logits_of_another_scale_end_the_same(seed: int, scale: float, shift: float) -> None:
    """It is asked in the model's own deviations."""
    values = np.random.default_rng(seed).normal(size=10)

    one, other = early(values), early(values * scale + shift)

    far = np.abs(_index(values) - CONFIG.outlying) > 1e-2
    assert not far or stands_out(one, ALL, CONFIG) == stands_out(other, ALL, CONFIG)


def _index(values: Floats) -> float:
    middle = np.median(values)
    return float((values.max() - middle) / (1.4826 * np.median(np.abs(values - middle))))


def test_only_ordinary_classes_are_the_measure() -> None:
    """And whatever else was searched may stand out from them; of unknown ones nothing is said."""
    values = np.full(30, np.nan)
    values[:10] = np.linspace(0, 1, 10)
    within, beyond = values.copy(), values.copy()
    within[20], beyond[20] = 0.5, 5.0

    assert not stands_out(early(within), ALL, CONFIG)
    assert stands_out(early(beyond), ALL, CONFIG)
    assert stands_out(early(np.full(30, np.nan)), ALL, CONFIG), "unknown: it goes on"


def test_none_ends_where_that_is_turned_off() -> None:
    """By 0."""
    assert stands_out(early(np.zeros(10)), ALL, replace(CONFIG, outlying=0.0))


def test_who_says_nothing_says_why_and_what_it_cost() -> None:
    """Every statistic is unknown, no trigger is left, and the cost is that of the first steps."""
    plain = early(np.linspace(0, 1, 10))
    whole = SearchResult(
        statistics={"standardised_margin": np.arange(10, dtype=np.float32)},
        targets=(9,),
        effort=Effort(steps=100, images=4000),
        early=plain,
    )

    said = as_if_ended(whole, ALL, CONFIG)

    assert np.isnan(said.statistics["standardised_margin"]).all()
    assert (said.targets, said.trigger, said.effort) == ((), None, plain.effort)
    assert said.silent
    assert as_if_ended(replace(whole, early=None), ALL, CONFIG).targets == (9,)


@given(st.integers(0, 10_000), st.sets(st.sampled_from(STATISTICS)))
@settings(max_examples=100)
def test_silence_never_raises_a_score(seed: int, silent: set[str]) -> None:
    """So nothing is blocked that the whole searches would not block, alone or beside others."""
    random = np.random.default_rng(seed)
    whole, other = (_profile(random, digest) for digest in "ab")
    said = {
        name: np.full_like(values, np.nan) if name in silent else values
        for name, values in whole.statistics.items()
        if not SPECS[name].beyond
    }
    kept = {name: whole.statistics[name] for name in said}
    for references in ((), (other,)):
        after = scores(replace(whole, statistics=said), references, shipped())
        before = scores(replace(whole, statistics=kept), references, shipped())
        assert (after <= before + 1e-5).all()


def _profile(random: np.random.Generator, digest: str) -> ClassProfile:
    return ClassProfile(
        name="m",
        digest=digest,
        samples="s",
        clean_accuracy=1.0,
        side=28,
        ordinary=np.arange(10),
        statistics={name: random.normal(size=10).astype(np.float32) for name in STATISTICS},
    )
