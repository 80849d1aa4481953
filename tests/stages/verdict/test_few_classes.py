"""A model of two or three classes is judged beside clean ones of its task, and not by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.types import Verdict
from stages.verdict.decide import judge
from stages.verdict.early import certain_verdict
from stages.verdict.profile import ClassProfile
from stages.verdict.score import scores
from stages.verdict.settings import JudgeConfig, VettingConfig
from stages.verdict.vetting import Vetted, own_p_value, vet
from tests.support.profiles import (
    BLEND,
    NOISE,
    PATCH,
    SETTINGS,
    WARP,
    WHOLE,
    everywhere,
    powerful,
    profile,
    with_values,
)

NOBODY = Vetted(kept=(), remarks=("reference `r` is left out: it is the model that is judged",))
EVIDENT = {BLEND: {1: 5.0}, PATCH: {1: 5.0}, WARP: {1: 5.0}, NOISE: {1: 5.0}}
few_classes = pytest.mark.parametrize("classes", [2, 3])


def beside(model: ClassProfile, *references: ClassProfile) -> Verdict:
    return judge(model, Vetted(kept=references, remarks=()), SETTINGS, JudgeConfig())


def spread(seed: int, classes: int, name: str) -> ClassProfile:
    """A profile whose classes differ at random in every statistic."""
    random, model = np.random.default_rng(seed), profile(classes=classes, name=name)
    drawn = {
        each: (known + random.normal(0, 0.3, classes)).astype(np.float32)
        for each, known in model.statistics.items()
    }
    return powerful(with_values(model, **drawn))


@few_classes
def test_without_a_reference_there_is_no_verdict(classes: int) -> None:
    """However much is found: it says what to give, and why each given one does not count."""
    verdict = judge(profile(EVIDENT, classes=classes), NOBODY, SETTINGS, JudgeConfig())

    assert verdict.label == "inconclusive"
    assert verdict.p_value is None
    assert verdict.class_scores == ()
    assert f"has {classes} classes" in verdict.reasons[0]
    assert "--reference" in verdict.reasons[0]
    assert verdict.reasons[1:] == NOBODY.remarks
    assert verdict.statistics


@few_classes
def test_beside_a_reference_there_is_one(classes: int) -> None:
    """A class that is reached more easily than in the reference is blocked, and one that is as easy
    to reach there is not; neither lies outside of what was measured.
    """
    clean = profile(classes=classes, name="clean")
    natural = profile(EVIDENT, classes=classes, name="natural")

    found, passed = beside(profile(EVIDENT, classes=classes), clean), beside(natural, natural)

    assert (found.label, found.suspected_class) == ("backdoored", 1)
    assert "more easily than in the references" in found.reasons[0]
    assert passed.label == "clean"
    assert "about half of the backdoors" in passed.reasons[1]
    assert found.outside == passed.outside == ""


def test_all_classes_together_may_be_too_easy_to_reach() -> None:
    """Differences count as they are: where both classes are reached more easily, both stand out."""
    every = {name: everywhere(5.0, 2) for name in (BLEND, PATCH, WARP, NOISE)}

    verdict = beside(profile(every, classes=2), profile(classes=2, name="clean"))

    assert verdict.label == "backdoored"
    assert verdict.class_scores[0] == verdict.class_scores[1] > 0


def test_what_is_said_of_the_whole_model_says_nothing() -> None:
    """One trigger that exchanges two classes is natural as often as not."""
    swapped = profile({name: everywhere(50.0, 2) for name in WHOLE}, classes=2)

    assert beside(swapped, profile(classes=2, name="clean")).class_scores == (0.0, 0.0)


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 3), moved=st.floats(-3, 3))
def test_only_differences_count(seed: int, classes: int, moved: float) -> None:
    """What is added to the model and its references alike changes no score."""
    model, reference = spread(seed, classes, "model"), spread(seed + 1, classes, "reference")

    def shifted(one: ClassProfile) -> ClassProfile:
        values = {name: known + np.float32(moved) for name, known in one.statistics.items()}
        return with_values(one, **values)

    before = scores(model, (reference,), SETTINGS)
    after = scores(shifted(model), (shifted(reference),), SETTINGS)

    np.testing.assert_allclose(after, before, atol=1e-3)


@given(seed=st.integers(0, 10_000), more=st.floats(0, 5))
def test_more_evidence_never_lowers_a_score(seed: int, more: float) -> None:
    """Nor does it change that of the other class."""
    model, reference = spread(seed, 2, "model"), spread(seed + 1, 2, "reference")
    values = model.statistics[PATCH] + np.array([0, more], np.float32)

    before = scores(model, (reference,), SETTINGS)
    after = scores(with_values(model, **{PATCH: values}), (reference,), SETTINGS)

    assert after[1] >= before[1]
    assert after[0] == before[0]


def test_nothing_is_certain_without_a_reference() -> None:
    """Beside one, what suffices for a block is certain before the scan's end."""
    model, clean = profile(EVIDENT, classes=2), profile(classes=2, name="clean")
    whole = Vetted(kept=(clean,), remarks=())

    assert certain_verdict(model, NOBODY, SETTINGS, JudgeConfig()) is None
    found = certain_verdict(model, whole, SETTINGS, JudgeConfig(near=1.0))
    assert found is not None
    assert found.suspected_class == 1


def test_references_are_vetted_by_each_other_alone() -> None:
    """None has a p-value of its own; one that the two others contradict is left out."""
    one, other = (profile(classes=2, name=name) for name in ("one", "other"))
    planted = profile(EVIDENT, classes=2, name="planted")

    def kept(*references: ClassProfile) -> list[str]:
        vetted = vet(profile(classes=2), references, VettingConfig(), SETTINGS, 0.05)
        return [each.name for each in vetted.kept]

    assert own_p_value(planted, SETTINGS) is None
    assert own_p_value(profile(classes=4), SETTINGS) is not None
    assert kept(planted) == ["planted"]
    assert kept(one, other, planted) == ["one", "other"]


def test_a_reference_has_to_do_better_than_guessing() -> None:
    """Half right is what guessing gives of two classes, and enough of ten."""
    model = profile(classes=2)
    guessing = replace(profile(classes=2, name="guessing"), clean_accuracy=0.6)

    vetted = vet(model, (guessing,), VettingConfig(), SETTINGS, 0.05)

    assert vetted.kept == ()
    assert "at least 0.75 is needed" in vetted.remarks[0]
    of_ten = replace(profile(name="of ten"), clean_accuracy=0.6)
    assert vet(profile(), (of_ten,), VettingConfig(), SETTINGS, 0.05).kept == (of_ten,)
