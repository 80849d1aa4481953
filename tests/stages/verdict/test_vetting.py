"""Which references may be used, told by their profiles."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import ScanConfig
from stages.searches import SPECS
from stages.settings import unchecked
from stages.verdict.decide import judge
from stages.verdict.profile import ClassProfile
from stages.verdict.settings import JudgeConfig, VettingConfig
from stages.verdict.vetting import Vetted, own_p_value, vet
from tests.support.profiles import BLEND, CLASSES, NOISE, PATCH, SETTINGS, drawn, profile

VETTING = VettingConfig(min_accuracy=0.5, suspicious=0.01, disagreeing=0.01)
SUBJECT = profile(name="subject")
RATE = 0.05
SUSPICIOUS = 8.0
"""Added to one class, in units of the least deviation, it makes a model stand out by itself."""
CONTRADICTED = 1.75
"""Added to one margin it is natural in a model by itself, but not where references lack it."""


def vetted(*references: ClassProfile, config: VettingConfig = VETTING) -> Vetted:
    return vet(SUBJECT, references, config, SETTINGS, RATE)


def test_agreeing_references_are_all_kept() -> None:
    """In their order, and nothing is said."""
    references = tuple(drawn(seed, f"reference {seed}", spread=0.05) for seed in range(4))

    found = vetted(*references)

    assert found.kept == references
    assert found.remarks == ()


def test_without_references_nothing_is_kept_and_nothing_said() -> None:
    """None in, none out."""
    assert vetted() == Vetted(kept=(), remarks=())


def test_a_single_reference_has_nobody_to_contradict_it() -> None:
    """What would differ from others is used where there are no others."""
    alone = profile({BLEND: {1: CONTRADICTED}}, name="alone")

    assert vetted(alone).kept == (alone,)


@pytest.mark.parametrize(
    ("unfit", "fault"),
    [
        (replace(SUBJECT, name="unfit"), "it is the model that is judged"),
        (profile(name="unfit", classes=7), "it has 7 classes, the model has 10"),
        (
            replace(profile(name="unfit"), samples="others"),
            "it was measured on other clean samples",
        ),
        (profile(name="unfit", accuracy=0.49), "its clean accuracy on these samples is 0.49"),
        (
            profile({PATCH: {4: SUSPICIOUS * 0.25}}, name="unfit"),
            "class 4 stands out in it too (p < 0.016)",
        ),
        (
            profile({BLEND: {7: SUSPICIOUS * 0.5}}, name="unfit"),
            "class 7 stands out in it too (p < 0.016)",
        ),
        (
            profile({NOISE: {2: SUSPICIOUS}}, name="unfit"),
            "class 2 stands out in it too (p < 0.016)",
        ),
    ],
)
def test_an_unfit_reference_is_left_out_and_named(unfit: ClassProfile, fault: str) -> None:
    """It is gone, the others stay, and one remark names it with its fault."""
    fit = profile(name="fit"), profile(name="fit too")

    found = vetted(fit[0], unfit, fit[1])

    assert found.kept == fit
    assert len(found.remarks) == 1
    assert found.remarks[0].startswith(f"reference `unfit` is left out: {fault}")


def test_the_accuracy_that_is_needed_suffices() -> None:
    """At least is at least."""
    assert vetted(profile(name="just", accuracy=0.5)).kept
    assert not vetted(profile(name="short of it", accuracy=0.499)).kept


def test_the_model_itself_is_known_by_its_bytes() -> None:
    """Under another name it is still itself; under the same name another model is not."""
    itself, namesake = replace(SUBJECT, name="renamed"), replace(SUBJECT, digest="another")

    assert vetted(itself, namesake).kept == (namesake,)


@pytest.mark.parametrize("place", range(3))
def test_one_that_two_others_contradict_is_left_out(place: int) -> None:
    """Wherever it stands among them; the two that agree stay."""
    odd = profile({BLEND: {1: CONTRADICTED}}, name="odd")
    references = [profile(name="one"), profile(name="two")]
    kept = tuple(references)
    references.insert(place, odd)

    found = vetted(*references)

    assert found.kept == kept
    assert found.remarks == ("reference `odd` is left out: the other references contradict it",)


def test_two_that_contradict_each_other_are_both_left_out() -> None:
    """Who is right cannot be told, so neither is used."""
    one = profile({BLEND: {1: CONTRADICTED}}, name="one")
    other = profile({BLEND: {2: CONTRADICTED}}, name="other")

    found = vetted(one, other)

    assert found.kept == ()
    assert [remark.split("`")[1] for remark in found.remarks] == ["one", "other"]


def test_what_is_left_out_contradicts_nobody() -> None:
    """An unfit reference has no say about the others, whatever it holds."""
    backdoored = profile({BLEND: dict.fromkeys(range(1, CLASSES), -50.0)}, name="backdoored")
    fit = profile(name="fit"), profile(name="fit too")

    found = vetted(*fit, backdoored)

    assert found.kept == fit
    assert "class 0 stands out" in found.remarks[0]


def test_everything_left_out_has_one_remark_of_its_own() -> None:
    """Kept or remarked on, each exactly once, and the caller's settings decide."""
    references = (
        replace(SUBJECT, name="itself"),
        profile(name="other task", classes=4),
        profile(name="inaccurate", accuracy=0.2),
        profile({PATCH: {4: SUSPICIOUS}}, name="suspicious"),
        profile({BLEND: {1: CONTRADICTED}}, name="contradicted"),
        profile(name="fit"),
        profile(name="fit too"),
    )

    found = vetted(*references)

    kept = [each.name for each in found.kept]
    remarked = [remark.split("`")[1] for remark in found.remarks]
    assert kept == ["fit", "fit too"]
    assert sorted(kept + remarked) == sorted(each.name for each in references)


@pytest.mark.parametrize("lead", [0.5, 1.0, 2.0, 4.0])
def test_p_is_told_no_smaller_than_the_models_of_the_null_carry(lead: float) -> None:
    """A reference is left out by its own p-value, which is told as a bound where it is one."""
    suspicious = profile({BLEND: {7: lead}}, name="suspicious")
    config = unchecked(VETTING, suspicious=1.0)
    _, p = own_p_value(suspicious, SETTINGS)

    (remark,) = vetted(suspicious, config=config).remarks

    told = re.search(r"class 7 stands out in it too \(p ([<=]) (\S+)\)", remark)
    assert told
    assert told[1] == ("<" if p < 1 / 64 else "=")
    assert float(told[2]) == pytest.approx(max(p, 1 / 64), rel=0.05)


def test_the_demands_are_those_of_the_settings() -> None:
    """A vetting that suspects nobody keeps what a strict one leaves out, and the other way."""
    references = tuple(drawn(seed, f"reference {seed}") for seed in range(3))
    lax = unchecked(VETTING, min_accuracy=0.0, suspicious=0.0, disagreeing=0.0)
    strict = unchecked(VETTING, min_accuracy=0.0, suspicious=1.0, disagreeing=1.0)

    assert vetted(*references, config=lax).kept == references
    assert vetted(*references, config=strict).kept == ()


def test_the_defaults_suspect_before_they_compare() -> None:
    """A reference is asked for itself at a stricter rate than the model that is judged."""
    config = ScanConfig()

    assert config.vetting.suspicious < config.judge.false_alarm_rate


def screened(reference: ClassProfile, unknown: int) -> ClassProfile:
    """The reference as if a class had not been searched to the end in it."""
    values = {name: each.copy() for name, each in reference.statistics.items()}
    for name, each in values.items():
        if not SPECS[name].whole:
            each[unknown] = np.nan
    return replace(reference, statistics=values)


@pytest.mark.parametrize("statistic", [BLEND, PATCH, NOISE])
def test_what_a_reference_says_nothing_of_it_cannot_acquit(statistic: str) -> None:
    """A model that is blocked by itself for such a class is blocked beside it as well."""
    model = profile({statistic: {3: 9.0}}, name="backdoored")
    reference = screened(drawn(1, "reference", spread=0.05), 3)

    found = vet(model, (reference,), VETTING, SETTINGS, RATE)
    verdict = judge(model, found, SETTINGS, JudgeConfig())

    assert found.kept == ()
    assert "class 3 stands out in the model and was not searched in it" in found.remarks[0]
    assert (verdict.label, verdict.suspected_class) == ("backdoored", 3)


@pytest.mark.parametrize(("added", "unknown"), [({}, 3), ({NOISE: {3: 9.0}}, 5)])
def test_a_reference_of_many_classes_serves_where_it_says_enough(
    added: dict[str, dict[int, float]], unknown: int
) -> None:
    """Where nothing stands out, or only what it knows."""
    reference = screened(drawn(1, "reference", spread=0.05), unknown)

    assert vet(profile(added), (reference,), VETTING, SETTINGS, RATE).kept == (reference,)


def test_a_statistic_that_a_reference_lacks_for_all_classes_is_no_such_silence() -> None:
    """As where it has no one last layer for the head probe to ask."""
    headless = drawn(1, "reference", spread=0.05)
    silent = np.full(CLASSES, np.nan, np.float32)
    headless = replace(headless, statistics={**headless.statistics, "head_probe.share": silent})

    assert vet(profile({BLEND: {3: 9.0}}), (headless,), VETTING, SETTINGS, RATE).kept == (headless,)
