"""From statistics to a verdict."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import ConfigError
from stages.published.results import BanResult
from stages.published.statistics import ban_statistic
from stages.searches import SPECS, STATISTICS
from stages.types import GraphFinding, Verdict
from stages.verdict.decide import apply_findings, judge, with_published
from stages.verdict.profile import ClassProfile
from stages.verdict.score import critical_value, p_value, printable_p, scores
from stages.verdict.settings import JudgeConfig
from stages.verdict.vetting import Vetted
from tests.support.profiles import (
    BLEND,
    CLASSES,
    NULL,
    ONLY_BESIDE,
    PATCH,
    SETTINGS,
    STRONG,
    WHOLE,
    drawn,
    powerful,
    profile,
    searched_only,
    with_values,
)

CONFIG = JudgeConfig(false_alarm_rate=0.05, min_working=0.5)
NOBODY = Vetted(kept=(), remarks=())
BACKDOORED = profile({BLEND: {3: 5.0}, PATCH: {3: 2.0}})
BLIND = with_values(profile(), **{STRONG: np.full(CLASSES, -1.0, np.float32)})
BLOCKING = GraphFinding(rule="trigger", severity="blocking", message="`Where` tests one pixel")


def judged(
    model: ClassProfile, references: Vetted = NOBODY, config: JudgeConfig = CONFIG
) -> Verdict:
    return judge(model, references, SETTINGS, config)


def by_the_null(verdict: Verdict) -> float:
    """How often a clean model alone has such a score, by the null itself."""
    assert verdict.anomaly_score is not None
    return p_value(verdict.anomaly_score, SETTINGS.alone, CLASSES)


@pytest.mark.parametrize("target", range(CLASSES))
def test_a_class_that_stands_out_is_named(target: int) -> None:
    """It gives `backdoored`, a small p-value, a high score, and the class, whichever it is."""
    verdict = judged(profile({BLEND: {target: 5.0}, PATCH: {target: 2.0}}))

    assert verdict.label == "backdoored"
    assert verdict.suspected_class == verdict.leading_class == target
    assert by_the_null(verdict) < 1e-3
    assert (verdict.p_value, verdict.p_is_bound) == (1 / 64, True)
    assert f"class {target} stands out" in verdict.reasons[0]


@pytest.mark.parametrize("statistic", sorted(set(STATISTICS) - set(WHOLE)))
def test_each_statistic_alone_can_decide(statistic: str) -> None:
    """What only one search sees is enough, where it counts, if it sees it clearly."""
    model, usual = profile({statistic: {6: 8.0}}), Vetted(kept=(drawn(1, spread=0.01),), remarks=())
    alone, beside = judged(model), judged(model, usual)

    blocked, passed = ("backdoored", 6), ("clean", None)
    assert (beside.label, beside.suspected_class) == blocked
    by_itself = passed if statistic in ONLY_BESIDE else blocked
    assert (alone.label, alone.suspected_class) == by_itself


def test_equal_classes_are_clean_and_promise_little() -> None:
    """No class, a large p-value, and the sentence on what a pass means."""
    verdict = judged(profile())

    assert (verdict.label, verdict.suspected_class) == ("clean", None)
    assert verdict.p_value is not None
    assert verdict.p_value > 0.9
    assert not verdict.p_is_bound
    assert "no class stands out" in verdict.reasons[0]
    assert "not that there is none" in verdict.reasons[0]


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.2])
def test_the_false_alarm_rate_is_the_threshold(rate: float) -> None:
    """A model is blocked exactly when its p-value is at most the rate, which is told."""
    labels = set()
    for lead in np.linspace(0, 5, 30):
        verdict = judged(
            profile({BLEND: {3: float(lead)}}), config=replace(CONFIG, false_alarm_rate=rate)
        )

        assert verdict.anomaly_score is not None
        assert verdict.critical_value is not None
        blocked = verdict.label == "backdoored"
        assert blocked == (by_the_null(verdict) <= rate)
        assert blocked == (verdict.anomaly_score >= verdict.critical_value)
        assert f"false-alarm rate {rate}" in verdict.reasons[0]
        labels.add(verdict.label)
    assert labels == {"clean", "backdoored"}


def test_at_the_rate_itself_a_model_is_blocked() -> None:
    """The rate is the largest p-value that is called `backdoored`."""
    p = by_the_null(judged(profile({BLEND: {3: 2.0}})))

    at, below = (
        judged(profile({BLEND: {3: 2.0}}), config=replace(CONFIG, false_alarm_rate=rate)).label
        for rate in (p, np.nextafter(p, 0))
    )

    assert (at, below) == ("backdoored", "clean")


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_the_false_alarm_rate_lies_between_0_and_1(rate: float) -> None:
    """At neither end does a score block some models and not others."""
    with pytest.raises(ConfigError, match=r"`false_alarm_rate` is .*, expected a number of at"):
        JudgeConfig(false_alarm_rate=rate)


def test_larger_scores_are_more_suspicious() -> None:
    """The more a class leads, the larger the score and the smaller p; the critical value stays."""
    verdicts = [judged(profile({BLEND: {3: lead}})) for lead in (0.0, 0.5, 1.0, 2.0, 4.0)]

    found = [verdict.anomaly_score for verdict in verdicts if verdict.anomaly_score is not None]
    assert found == sorted(found)
    assert found[-1] > found[0] >= 0
    rarities = [by_the_null(verdict) for verdict in verdicts]
    assert rarities == sorted(rarities, reverse=True)
    assert len({verdict.critical_value for verdict in verdicts}) == 1


@pytest.mark.parametrize("lead", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0])
def test_p_is_told_no_smaller_than_the_models_of_the_null_carry(lead: float) -> None:
    """Of 63 clean models none says anything about one in a thousand: then p is a bound."""
    verdict = judged(profile({BLEND: {3: lead}}))

    assert (verdict.p_value, verdict.p_is_bound) == printable_p(
        by_the_null(verdict), SETTINGS.alone
    )
    sign = "<" if verdict.p_is_bound else "="
    assert f"p {sign} {verdict.p_value:.2g}," in verdict.reasons[0]
    assert verdict.p_is_bound == (lead > 2)


def test_a_clean_verdict_may_have_a_bound_for_its_p_value() -> None:
    """At a rate smaller than the models of the null carry: the score decides, not what is told."""
    verdict = judged(profile({BLEND: {3: 5.0}}), config=replace(CONFIG, false_alarm_rate=0.0001))

    assert (verdict.label, verdict.p_value, verdict.p_is_bound) == ("clean", 1 / 64, True)


@given(st.integers(0, 300))
def test_the_verdict_does_not_depend_on_the_order_of_the_classes(seed: int) -> None:
    """Classes numbered otherwise give the same p-value and the same suspect."""
    model = powerful(drawn(seed))
    order = np.random.default_rng(seed).permutation(CLASSES)
    shuffled = with_values(
        model, **{name: values[order] for name, values in model.statistics.items()}
    )

    one, other = judged(model), judged(shuffled)

    assert by_the_null(other) == pytest.approx(by_the_null(one), rel=1e-4)
    assert (other.p_value, other.p_is_bound) == (
        pytest.approx(one.p_value, rel=1e-4),
        one.p_is_bound,
    )
    assert other.leading_class == np.flatnonzero(order == one.leading_class)


@pytest.mark.parametrize(("failing", "label"), [(0, "clean"), (5, "clean"), (6, "inconclusive")])
def test_too_few_patterns_that_win_are_inconclusive(failing: int, label: str) -> None:
    """A negative margin is no win; more than half of the classes without one are too many."""
    # a pattern that hardly wins keeps a class from standing out, so power is all that differs
    margins = np.full(CLASSES, 0.01, np.float32)
    margins[:failing] = -0.01

    verdict = judged(with_values(profile(), **{STRONG: margins}))

    assert verdict.label == label


def test_inconclusive_says_what_to_do_and_hides_nothing() -> None:
    """No p-value, score or suspect, but the statistics that were found and the remarks."""
    verdict = judged(BLIND, Vetted(kept=(), remarks=("a remark",)))

    assert verdict.label == "inconclusive"
    assert (verdict.p_value, verdict.p_is_bound, verdict.suspected_class) == (None, False, None)
    assert (verdict.anomaly_score, verdict.critical_value) == (None, None)
    assert "wins for 100% of the classes, at most 50% are allowed" in verdict.reasons[0]
    assert "raise `blend.strong_steps`" in verdict.reasons[0]
    assert verdict.reasons[1:] == ("a remark",)
    assert verdict.class_scores == tuple(scores(BLIND, (), SETTINGS).tolist())
    assert [each.name for each in verdict.statistics] == list(STATISTICS)


def test_what_was_found_with_little_power_was_found() -> None:
    """Weak patterns are no excuse for a class that stands out all the same."""
    blind = with_values(BACKDOORED, **{STRONG: np.full(CLASSES, -1.0, np.float32)})

    verdict = judged(blind)

    assert (verdict.label, verdict.suspected_class) == ("backdoored", 3)


def test_how_many_patterns_must_win_is_a_setting() -> None:
    """With none demanded, a model without a single such pattern is judged all the same."""
    assert judged(BLIND, config=replace(CONFIG, min_working=0.0)).label == "clean"


def test_only_the_score_decides_and_all_statistics_are_shown() -> None:
    """The scores of the classes carry a p-value; what they are made of is told with its unit."""
    model = powerful(drawn(1))
    critical = critical_value(CONFIG.false_alarm_rate, SETTINGS.alone, CLASSES)

    verdict = judged(model)

    assert verdict.class_scores == tuple(scores(model, (), SETTINGS).tolist())
    assert verdict.anomaly_score == max(verdict.class_scores)
    assert verdict.critical_value == critical
    assert [each.name for each in verdict.statistics] == list(STATISTICS)
    for each in verdict.statistics:
        values = model.statistics[each.name]
        assert each.unit == SPECS[each.name].unit
        assert each.per_class == tuple(values.tolist())
        assert (each.value, each.leading_class) == (values.max(), values.argmax())


def test_references_have_a_null_of_their_own() -> None:
    """Scores beside them are measured by what is usual beside references."""
    model, reference = profile({BLEND: {3: 1.0}}), drawn(4, "reference", spread=0.1)

    verdict = judged(model, Vetted(kept=(reference,), remarks=()))

    against = scores(model, (reference,), SETTINGS)
    assert verdict.class_scores == tuple(against.tolist())
    assert verdict.p_value == p_value(float(against.max()), SETTINGS.referenced, CLASSES)
    assert verdict.critical_value == critical_value(
        CONFIG.false_alarm_rate, SETTINGS.referenced, CLASSES
    )


def test_references_tell_natural_backdoor_classes_from_planted_ones() -> None:
    """The same lead is natural where the reference has it too, and suspicious where it has not."""
    model = profile({BLEND: {3: 1.75}})
    alike, unlike = (
        Vetted(kept=(each,), remarks=())
        for each in (profile({BLEND: {3: 1.75}}, name="a"), profile(name="b"))
    )

    assert judged(model).label == "clean"
    assert judged(model, alike).label == "clean"
    assert judged(model, unlike).label == "backdoored"
    assert "against 1 reference(s)" in judged(model, unlike).reasons[0]
    assert "reference" not in judged(model).reasons[0]


@pytest.mark.parametrize("model", [profile(), BACKDOORED])
def test_what_was_left_out_is_said(model: ClassProfile) -> None:
    """Remarks on references follow the reason, in their order, and change nothing else."""
    plain, remarked = judged(model), judged(model, Vetted(kept=(), remarks=("one", "two")))

    assert remarked.reasons == (*plain.reasons, "one", "two")
    assert replace(remarked, reasons=plain.reasons) == plain


def test_many_classes_raise_the_bar() -> None:
    """The same lead among a hundred classes says less, and more of it is needed."""
    few, many = (judged(profile({BLEND: {3: 2.0}}, classes=count)) for count in (10, 100))

    assert few.p_value is not None
    assert many.p_value is not None
    assert many.p_value > few.p_value
    assert few.critical_value is not None
    assert many.critical_value is not None
    grown = few.critical_value**2 + NULL.growth * math.log(10)
    assert many.critical_value**2 == pytest.approx(grown)


@pytest.mark.parametrize("lead", [0.0, 5.0])
@pytest.mark.parametrize(
    ("classes", "side", "outside"),
    [
        (10, 32, ""),
        (5, 8, ""),
        (100, 224, ""),
        (4, 32, "4 classes"),
        (101, 32, "101 classes"),
        (10, 7, "images of 7 pixels"),
        (200, 512, "200 classes, images of 512 pixels"),
    ],
)
def test_a_model_unlike_the_calibrated_ones_is_judged_with_a_remark(
    lead: float, classes: int, side: int, outside: str
) -> None:
    """The verdict stays; it says in which respect the p-value is an extrapolation."""
    verdict = judged(
        profile({BLEND: {3: lead}}, classes=classes, side=side), Vetted(kept=(), remarks=("one",))
    )

    assert verdict.outside == outside
    assert verdict.label == ("backdoored" if lead else "clean")
    assert verdict.reasons[-1] == "one"
    remarks = verdict.reasons[1:-1]
    assert len(remarks) == (1 if outside else 0)
    assert all(f"({outside})" in each and "an extrapolation" in each for each in remarks)


def test_an_inconclusive_verdict_says_what_is_outside_too() -> None:
    """It is true of the model, whether or not it can be judged."""
    assert judged(replace(BLIND, side=512)).outside == "images of 512 pixels"


def test_of_classes_that_were_not_searched_the_verdict_says_nothing() -> None:
    """They have no value in any statistic, and a score of 0; those searched are judged."""
    model = searched_only(profile({BLEND: {3: 5.0, 8: 9.0}, PATCH: {3: 2.0}}), [0, 1, 2, 3], [0, 1])

    verdict = judged(model)

    assert (verdict.label, verdict.suspected_class) == ("backdoored", 3)
    assert verdict.class_scores[4:] == (0.0,) * 6
    told = {each.name: each for each in verdict.statistics}[BLEND]
    assert told.per_class == (-1.0, -1.0, -1.0, 4.0, *[None] * 6)
    assert (told.value, told.leading_class) == (4.0, 3)


def test_power_is_that_of_the_ordinary_classes() -> None:
    """A leader for which a strong pattern wins does not stand for the others."""
    margins = np.full(CLASSES, 0.01, np.float32)
    margins[:4] = -0.01
    model = with_values(profile(), **{STRONG: margins})

    assert judged(model).label == "clean"
    assert judged(replace(model, ordinary=np.arange(6))).label == "inconclusive"


def test_an_extreme_lead_has_a_finite_score() -> None:
    """However far a class stands out, the score is a number."""
    verdict = judged(profile({BLEND: {3: 1e6}}))

    assert verdict.label == "backdoored"
    assert verdict.anomaly_score is not None
    assert math.isfinite(verdict.anomaly_score)
    assert verdict.anomaly_score > 10


@pytest.mark.parametrize("model", [profile(), BACKDOORED])
def test_what_published_algorithms_say_does_not_decide(model: ClassProfile) -> None:
    """It is appended in order, and everything else stays."""
    verdict = judged(model)
    result = BanResult(predictions=np.array([0] * 9 + [50], np.int64), share=1.0, accuracy=0.2)
    statistic = ban_statistic(result)

    once = with_published(verdict, statistic)
    twice = with_published(once, replace(statistic, name="again"))

    assert replace(twice, published=()) == verdict
    assert once.published == (statistic,)
    assert [each.name for each in twice.published] == ["published_ban", "again"]


@pytest.mark.parametrize("model", [profile(), BACKDOORED])
def test_a_trigger_in_the_graph_is_a_backdoor(model: ClassProfile) -> None:
    """A blocking finding gives `backdoored` whatever the searches say, and is told first."""
    verdict = judged(model)
    note = GraphFinding(rule="note", severity="note", message="harmless")

    found = apply_findings((note, BLOCKING), verdict)

    assert found.label == "backdoored"
    assert found.reasons[0].endswith("looks like a trigger: `Where` tests one pixel")
    assert found.reasons[1:] == verdict.reasons
    assert replace(found, label=verdict.label, reasons=verdict.reasons) == verdict


@pytest.mark.parametrize("severity", ["note", "warning"])
def test_lesser_findings_leave_the_verdict(severity: str) -> None:
    """Only what blocks changes it."""
    verdict = judged(profile())
    finding = replace(BLOCKING, severity=severity)

    assert apply_findings((finding,), verdict) == verdict
    assert apply_findings((), verdict) == verdict
