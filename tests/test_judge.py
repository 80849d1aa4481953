"""From statistics to a verdict."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_score import CLASSES, SETTINGS, drawn, profile

from stages.judge import (
    JudgeConfig,
    accompany,
    condemn,
    judge,
    masked_statistics,
    reference_statistic,
)
from stages.references import Vetted
from stages.score import SEARCHES, p_value, scores
from stages.types import (
    ClassProfile,
    GraphFinding,
    MaskResult,
    PreconditionResult,
    ReferenceResult,
    UntargetedNoise,
    Verdict,
)

CONFIG = JudgeConfig(false_alarm_rate=0.05, min_working=0.5)
NOBODY = Vetted(kept=(), remarks=())
BACKDOORED = profile(blend={3: 5.0}, patch={3: 2.0})
BLOCKING = GraphFinding(rule="trigger", severity="blocking", message="`Where` tests one pixel")


def judged(
    model: ClassProfile, references: Vetted = NOBODY, config: JudgeConfig = CONFIG
) -> Verdict:
    return judge(model, references, SETTINGS, config)


@pytest.mark.parametrize("target", range(CLASSES))
def test_a_class_that_stands_out_is_named(target: int) -> None:
    """It gives `backdoored`, a small p-value, a high score, and the class, whichever it is."""
    verdict = judged(profile(blend={target: 5.0}, patch={target: 2.0}))

    assert verdict.label == "backdoored"
    assert verdict.suspected_class == target
    assert verdict.p_value is not None
    assert verdict.p_value < 1e-3
    assert f"class {target} stands out" in verdict.reasons[0]


@pytest.mark.parametrize("search", SEARCHES)
def test_each_search_alone_can_decide(search: str) -> None:
    """What only one search sees is enough, if it sees it clearly."""
    verdict = judged(profile(**{search: {6: 8.0}}))

    assert (verdict.label, verdict.suspected_class) == ("backdoored", 6)


def test_equal_classes_are_clean_and_promise_little() -> None:
    """No class, a large p-value, and the sentence on what a pass means."""
    verdict = judged(profile())

    assert (verdict.label, verdict.suspected_class) == ("clean", None)
    assert verdict.p_value is not None
    assert verdict.p_value > 0.9
    assert "no class stands out" in verdict.reasons[0]
    assert "not that there is none" in verdict.reasons[0]


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.2])
def test_the_false_alarm_rate_is_the_threshold(rate: float) -> None:
    """A model is blocked exactly when its p-value is at most the rate, which is told."""
    labels = set()
    for lead in np.linspace(0, 5, 30):
        verdict = judged(
            profile(blend={3: float(lead)}), config=replace(CONFIG, false_alarm_rate=rate)
        )

        assert verdict.p_value is not None
        assert (verdict.label == "backdoored") == (verdict.p_value <= rate)
        assert f"false-alarm rate {rate}" in verdict.reasons[0]
        labels.add(verdict.label)
    assert labels == {"clean", "backdoored"}


def test_at_the_rate_itself_a_model_is_blocked() -> None:
    """The rate is the largest p-value that is called `backdoored`."""
    p = judged(profile(blend={3: 2.0})).p_value
    assert p is not None

    at, below = (
        judged(profile(blend={3: 2.0}), config=replace(CONFIG, false_alarm_rate=rate)).label
        for rate in (p, np.nextafter(p, 0))
    )

    assert (at, below) == ("backdoored", "clean")


def test_the_score_is_minus_log_of_p() -> None:
    """Larger scores are more suspicious; a tenth of p is one more."""
    verdicts = [judged(profile(blend={3: lead})) for lead in (0.0, 0.5, 1.0, 2.0, 4.0)]

    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0] >= 0
    for verdict, score in zip(verdicts, scores, strict=True):
        assert verdict.p_value == pytest.approx(10**-score)


@given(st.integers(0, 300))
def test_the_verdict_does_not_depend_on_the_order_of_the_classes(seed: int) -> None:
    """Classes numbered otherwise give the same p-value and the same suspect."""
    model = drawn(seed)
    model = replace(model, strong_blend=np.abs(model.strong_blend))
    order = np.random.default_rng(seed).permutation(CLASSES)
    shuffled = replace(model, **{name: getattr(model, name)[order] for name in SEARCHES})

    one, other = judged(model), judged(shuffled)

    assert other.p_value == pytest.approx(one.p_value, rel=1e-4)
    assert other.statistics[0].suspected_class == np.flatnonzero(
        order == one.statistics[0].suspected_class
    )


@pytest.mark.parametrize(("failing", "label"), [(0, "clean"), (5, "clean"), (6, "inconclusive")])
def test_too_few_patterns_that_win_are_inconclusive(failing: int, label: str) -> None:
    """A negative margin is no win; more than half of the classes without one are too many."""
    # a pattern that hardly wins keeps a class from standing out, so power is all that differs
    margins = np.full(CLASSES, 0.01, np.float32)
    margins[:failing] = -0.01

    verdict = judged(replace(profile(), strong_blend=margins))

    assert verdict.label == label


def test_inconclusive_says_what_to_do_and_hides_nothing() -> None:
    """No p-value, score or suspect, but the statistics that were found and the remarks."""
    blind = replace(profile(), strong_blend=np.full(CLASSES, -1.0, np.float32))

    verdict = judged(blind, Vetted(kept=(), remarks=("a remark",)))

    assert verdict.label == "inconclusive"
    assert (verdict.p_value, verdict.score, verdict.suspected_class) == (None, None, None)
    assert "wins for 100% of the classes, at most 50% are allowed" in verdict.reasons[0]
    assert "raise `blend.strong_steps`" in verdict.reasons[0]
    assert verdict.reasons[1:] == ("a remark",)
    assert [each.name for each in verdict.statistics] == ["score", *SEARCHES]


def test_what_was_found_with_little_power_was_found() -> None:
    """Weak patterns are no excuse for a class that stands out all the same."""
    blind = replace(BACKDOORED, strong_blend=np.full(CLASSES, -1.0, np.float32))

    verdict = judged(blind)

    assert (verdict.label, verdict.suspected_class) == ("backdoored", 3)


def test_how_many_patterns_must_win_is_a_setting() -> None:
    """With none demanded, a model without a single such pattern is judged all the same."""
    blind = replace(profile(), strong_blend=np.full(CLASSES, -1.0, np.float32))

    assert judged(blind, config=replace(CONFIG, min_working=0.0)).label == "clean"


def test_only_the_score_decides_and_all_searches_are_shown() -> None:
    """One statistic carries a p-value; the searches accompany it with their values per class."""
    model = drawn(1)
    model = replace(model, strong_blend=np.abs(model.strong_blend))

    score, *searches = judged(model).statistics

    assert score.per_class == tuple(scores(model, (), SETTINGS).tolist())
    assert score.p_value == p_value(score.value, SETTINGS.alone, CLASSES)
    assert [each.name for each in searches] == list(SEARCHES)
    for each in searches:
        values = getattr(model, each.name)
        assert each.p_value is None
        assert each.per_class == tuple(values.tolist())
        assert (each.value, each.suspected_class) == (values.max(), values.argmax())


def test_references_have_a_null_of_their_own() -> None:
    """Scores alone and against them are added, and measured by what is usual for the sum."""
    model, reference = profile(blend={3: 1.0}), drawn(4, "reference", spread=0.1)

    score = judged(model, Vetted(kept=(reference,), remarks=())).statistics[0]

    against = scores(model, (reference,), SETTINGS)
    assert score.per_class == tuple(against.tolist())
    assert score.p_value == p_value(score.value, SETTINGS.referenced, CLASSES)


def test_references_tell_natural_favourites_from_planted_ones() -> None:
    """The same lead is natural where the reference has it too, and suspicious where it has not."""
    model = profile(blend={3: 1.3})
    alike, unlike = (
        Vetted(kept=(each,), remarks=()) for each in (profile("a", blend={3: 1.3}), profile("b"))
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
    """The same lead among a thousand classes says less."""
    few, many = (judged(profile(blend={3: 2.0}, classes=count)) for count in (10, 1000))

    assert few.p_value is not None
    assert many.p_value is not None
    assert many.p_value > few.p_value


def test_an_extreme_lead_has_a_finite_score() -> None:
    """However far a class stands out, the score is a number."""
    verdict = judged(profile(blend={3: 1e6}))

    assert verdict.label == "backdoored"
    assert verdict.score is not None
    assert math.isfinite(verdict.score)
    assert verdict.score > 100


@pytest.mark.parametrize("model", [profile(), BACKDOORED])
def test_accompanying_statistics_do_not_decide(model: ClassProfile) -> None:
    """They are appended in order, and everything else stays."""
    verdict = judged(model)
    result = ReferenceResult(
        predictions=np.array([0] * 9 + [50], np.int64), share=1.0, accuracy=0.2
    )
    statistic = reference_statistic(result)

    joined = accompany(verdict, statistic, replace(statistic, name="again"))

    assert replace(joined, statistics=verdict.statistics) == verdict
    assert joined.statistics[:-2] == verdict.statistics
    assert [each.name for each in joined.statistics[-2:]] == ["reference", "again"]
    assert joined.statistics[-1].p_value is None


def test_the_published_algorithm_is_told_as_shares() -> None:
    """Of its histogram, the most frequent class leads."""
    result = ReferenceResult(predictions=np.array([10, 0, 30, 0]), share=0.75, accuracy=0.2)

    found = reference_statistic(result)

    assert found.per_class == (0.25, 0.0, 0.75, 0.0)
    assert (found.value, found.suspected_class, found.p_value) == (0.75, 2, None)


def test_an_empty_histogram_is_all_zeros() -> None:
    """No prediction at all divides by nothing."""
    result = ReferenceResult(predictions=np.zeros(4, np.int64), share=0.0, accuracy=0.0)

    assert reference_statistic(result).per_class == (0.0, 0.0, 0.0, 0.0)


def test_noise_and_mask_are_told_as_what_each_class_gains() -> None:
    """Shares under noise, and with only masked features left, minus those of clean samples."""
    clean = PreconditionResult(
        logits=np.eye(5, dtype=np.float32).repeat(10, axis=0),
        clean_accuracy=1.0,
        covered_classes=5,
        reasons=(),
    )
    untargeted = UntargetedNoise(
        epsilon=0.1,
        scale=(np.zeros(2, np.float32),),
        shift=(np.zeros(2, np.float32),),
        loss=np.zeros(3, np.float32),
        predictions=np.array([50, 0, 0, 0, 0], np.int64),
        accuracy=0.2,
    )
    mask = MaskResult(
        mask=np.ones(2, np.float32),
        benign_loss=np.zeros(2, np.float32),
        other_loss=np.zeros(2, np.float32),
        benign_accuracy=1.0,
        predictions=np.array([1, 1, 1, 1, 6], np.int64),
    )

    noise, masked = masked_statistics(clean, untargeted, mask)

    assert (noise.name, masked.name) == ("untargeted_noise", "masked_noise")
    assert noise.per_class == pytest.approx((0.8, -0.2, -0.2, -0.2, -0.2))
    assert masked.per_class == pytest.approx((-0.1, -0.1, -0.1, -0.1, 0.4))
    assert (noise.suspected_class, masked.suspected_class) == (0, 4)
    assert noise.p_value is masked.p_value is None


@pytest.mark.parametrize("model", [profile(), BACKDOORED])
def test_a_trigger_in_the_graph_condemns(model: ClassProfile) -> None:
    """A blocking finding gives `backdoored` whatever the searches say, and is told first."""
    verdict = judged(model)
    note = GraphFinding(rule="note", severity="note", message="harmless")

    condemned = condemn((note, BLOCKING), verdict)

    assert condemned.label == "backdoored"
    assert condemned.reasons[0].endswith("looks like a trigger: `Where` tests one pixel")
    assert condemned.reasons[1:] == verdict.reasons
    assert condemned.statistics == verdict.statistics


@pytest.mark.parametrize("severity", ["note", "warning"])
def test_lesser_findings_leave_the_verdict(severity: str) -> None:
    """Only what blocks condemns."""
    verdict = judged(profile())
    finding = replace(BLOCKING, severity=severity)

    assert condemn((finding,), verdict) == verdict
    assert condemn((), verdict) == verdict
