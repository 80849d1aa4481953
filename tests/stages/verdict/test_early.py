"""A verdict before the end never blocks what the whole scan would not block."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.searches import STATISTICS
from stages.types import Floats
from stages.verdict.calibration import shipped
from stages.verdict.decide import judge
from stages.verdict.early import certain_verdict
from stages.verdict.profile import ClassProfile
from stages.verdict.settings import JudgeConfig
from stages.verdict.vetting import Vetted

ALONE = Vetted(kept=(), remarks=())
CONFIG = JudgeConfig()


def profile(seed: int, strength: float, digest: str = "a") -> ClassProfile:
    """Ten classes of which class 4 stands out by so much, in some statistics."""
    random = np.random.default_rng(seed)
    statistics: dict[str, Floats] = {}
    for name in STATISTICS:
        values = random.normal(size=10)
        values[4] += strength * random.integers(0, 2)
        statistics[name] = values.astype(np.float32)
    return ClassProfile(
        name="m",
        digest=digest,
        samples="s",
        clean_accuracy=1.0,
        side=28,
        ordinary=np.arange(10),
        statistics=statistics,
    )


def part(whole: ClassProfile, names: set[str]) -> ClassProfile:
    """The profile with some statistics only."""
    known = {name: each for name, each in whole.statistics.items() if name in names}
    return replace(whole, statistics=known)


@given(
    st.integers(0, 10_000),
    st.floats(0, 40),
    st.sets(st.sampled_from(STATISTICS), min_size=1),
    st.integers(0, 2),
)
@settings(max_examples=200)
def test_what_is_certain_is_what_the_whole_says(
    seed: int, strength: float, names: set[str], references: int
) -> None:
    """Whichever statistics are known first, alone or beside references: where the early verdict
    blocks, the whole blocks as well, with no smaller score, and no second opinion is asked for.
    """
    whole = profile(seed, strength)
    kept = tuple(profile(seed + 1 + each, 0.0, f"r{each}") for each in range(references))
    beside = Vetted(kept=kept, remarks=())

    early = certain_verdict(part(whole, names), beside, shipped(), CONFIG)

    if early is not None:
        final = judge(whole, beside, shipped(), CONFIG)
        assert early.label == final.label == "backdoored"
        assert final.anomaly_score is not None
        assert early.anomaly_score is not None
        assert final.anomaly_score >= early.anomaly_score
        assert final.p_value is not None
        assert final.p_is_bound or final.p_value <= CONFIG.false_alarm_rate / CONFIG.near


def test_a_strong_backdoor_is_certain_and_a_clean_model_is_open() -> None:
    """So the law above is not about nothing."""
    names = {"blend.margin", "warp.standardised_margin", "neuron_noise.margin", "tone.margin"}
    strong, clean = profile(0, 60.0), profile(0, 0.0)
    for name in names:
        strong.statistics[name].setflags(write=True)
        strong.statistics[name][4] = 60.0

    verdict = certain_verdict(part(strong, names), ALONE, shipped(), CONFIG)

    assert verdict is not None
    assert verdict.suspected_class == 4
    assert "class 4 stands out already" in verdict.reasons[0]
    assert certain_verdict(part(clean, names), ALONE, shipped(), CONFIG) is None


@pytest.mark.parametrize("near", [1.0, 3.0])
def test_nothing_near_the_limit_is_certain(near: float) -> None:
    """Where the whole scan asks for a second opinion, the early verdict waits for it."""
    config = JudgeConfig(near=near)
    for strength in np.linspace(0, 12, 60):
        whole = profile(1, float(strength))
        verdict = judge(whole, ALONE, shipped(), config)
        early = certain_verdict(whole, ALONE, shipped(), config)
        assert verdict.p_value is not None
        near_it = not verdict.p_is_bound and verdict.p_value > config.false_alarm_rate / near
        assert (early is None) == near_it
