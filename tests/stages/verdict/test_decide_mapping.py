"""What is said of a model in which one trigger sends each class to a class of its own."""

from __future__ import annotations

import pytest

from stages.verdict.decide import judge
from stages.verdict.profile import ClassProfile
from stages.verdict.settings import JudgeConfig
from stages.verdict.vetting import Vetted
from tests.support.profiles import BLEND, PATCH, SETTINGS, STRONG, WHOLE, everywhere, profile

NOBODY = Vetted(kept=(), remarks=())


@pytest.mark.parametrize("statistic", WHOLE)
def test_what_is_said_of_the_whole_model_can_decide(statistic: str) -> None:
    """Then no class needs to stand out from the others."""
    high, low = (profile({statistic: everywhere(value)}) for value in (8.0, -8.0))

    assert judge(high, NOBODY, SETTINGS, JudgeConfig()).label == "backdoored"
    assert judge(low, NOBODY, SETTINGS, JudgeConfig()).label == "clean"


def test_a_trigger_for_the_whole_model_is_told_as_one() -> None:
    """No single class is accused where each goes to another; where one leads too, that one is."""
    whole = {name: everywhere(2.5) for name in WHOLE}
    leading = {BLEND: {3: 90.0}, PATCH: {3: 90.0}, STRONG: {3: 90.0}}

    mapped, both = (
        judge(profile(whole | more), NOBODY, SETTINGS, JudgeConfig()) for more in ({}, leading)
    )

    assert mapped.label == both.label == "backdoored"
    assert "turns each class into another one" in mapped.reasons[0]
    assert "class 3 stands out" in both.reasons[0]


def test_of_too_few_classes_a_trigger_for_the_whole_model_settles_nothing() -> None:
    """It is neither blocked by chances that nobody has measured, nor passed; a reference settles
    it. A class that stands out by itself is blocked as ever.
    """
    few = 4
    mapping = {name: everywhere(2.5, few) for name in WHOLE}
    model, clean = profile(mapping, classes=few), profile(classes=few, name="clean")
    alike = profile(mapping, classes=few, name="alike")
    leading = profile(mapping | {BLEND: {1: 90.0}, PATCH: {1: 90.0}}, classes=few)

    def label(judged: ClassProfile, *references: ClassProfile) -> str:
        beside = Vetted(kept=references, remarks=())
        return judge(judged, beside, SETTINGS, JudgeConfig()).label

    alone = judge(model, NOBODY, SETTINGS, JudgeConfig())
    assert alone.label == "inconclusive"
    assert f"of {few} classes is not known" in alone.reasons[0]
    assert "--reference" in alone.reasons[0]
    assert label(model, clean) == label(leading) == "backdoored"
    assert label(model, alike) == label(clean) == "clean"
