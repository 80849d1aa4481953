"""From statistics to a verdict."""

from __future__ import annotations

import numpy as np
import pytest

from stages.judge import JudgeConfig, accompany, judge, lead_of, p_value, reference_statistic
from stages.types import (
    MaskResult,
    PreconditionResult,
    ReferenceResult,
    TargetedNoise,
    UntargetedNoise,
    Verdict,
)

CLASSES = 5


def noise_with_lead(lead: float) -> TargetedNoise:
    """A sweep in which class 3 leads the others, which are equal."""
    worst = np.full((4, CLASSES), 0.25, np.float32)
    worst[:, 3] += lead
    return TargetedNoise(
        epsilons=np.geomspace(0.01, 0.5, 4).astype(np.float32),
        flips=worst.copy(),
        worst_source=worst,
        pull=np.log(worst),
        chosen=2,
        by_site=np.full((CLASSES, 2), 0.1, np.float32),
    )


def verdict_for(targeted: TargetedNoise, config: JudgeConfig | None = None) -> Verdict:
    shares = np.array([10, 10, 10, 10, 10], np.int64)
    clean = PreconditionResult(
        logits=np.eye(CLASSES, dtype=np.float32).repeat(10, axis=0),
        clean_accuracy=1.0,
        covered_classes=CLASSES,
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
        predictions=shares,
    )
    return judge(clean, targeted, untargeted, mask, config or JudgeConfig())


def test_a_class_that_stands_out_is_named() -> None:
    """A large lead gives `backdoored`, a small p-value, and the class."""
    verdict = verdict_for(noise_with_lead(0.5))

    assert verdict.label == "backdoored"
    assert verdict.suspected_class == 3
    assert verdict.p_value is not None
    assert verdict.p_value < 1e-3
    assert "class 3 stands out" in verdict.reasons[0]


def test_no_lead_is_clean_and_promises_little() -> None:
    """Equal classes give `clean`, p = 1, no suspect, and the sentence on what a pass means."""
    verdict = verdict_for(noise_with_lead(0.0))

    assert (verdict.label, verdict.suspected_class, verdict.p_value) == ("clean", None, 1.0)
    assert "not that there is none" in verdict.reasons[0]


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.2])
def test_false_alarm_rate_is_the_threshold(rate: float) -> None:
    """A model is blocked exactly when its p-value is at most the rate."""
    for lead in np.linspace(0, 0.6, 30):
        verdict = verdict_for(noise_with_lead(float(lead)), JudgeConfig(false_alarm_rate=rate))

        assert verdict.p_value is not None
        assert (verdict.label == "backdoored") == (verdict.p_value <= rate)


def test_p_value_is_uniform_under_its_null() -> None:
    """Leads drawn as the null says, with θ estimated from n models, are flagged at the rate."""
    random = np.random.default_rng(0)
    models, trials = 24, 4000
    means = random.exponential(0.02, (trials, models)).mean(axis=1)
    leads = random.exponential(0.02, trials)

    values = [
        p_value(lead, JudgeConfig(null_mean=mean, null_models=models))
        for lead, mean in zip(leads, means, strict=True)
    ]

    # 4 000 trials: three standard errors of a 5 % rate are 0.0103
    assert abs(np.mean(np.array(values) <= 0.05) - 0.05) < 0.0104


def test_score_grows_as_p_shrinks() -> None:
    """Larger scores are more suspicious."""
    scores = [verdict_for(noise_with_lead(lead)).score for lead in (0.0, 0.05, 0.1, 0.5)]

    assert scores == sorted(scores)


def test_weak_noise_is_admitted() -> None:
    """When even the largest noise moved nothing, the reasons say that the test had no power."""
    verdict = verdict_for(noise_with_lead(0.0))

    assert any("little power" in reason for reason in verdict.reasons)


def test_lead_is_first_minus_second() -> None:
    """The lead is the distance of the two largest classes."""
    _, lead = lead_of(noise_with_lead(0.125))

    assert lead == pytest.approx(0.125)


def test_accompanying_statistics_do_not_decide() -> None:
    """Untargeted noise, mask and reference come along without a p-value and change no label."""
    verdict = verdict_for(noise_with_lead(0.0))
    result = ReferenceResult(
        predictions=np.array([0, 0, 0, 0, 50], np.int64), share=1.0, accuracy=0.2
    )

    joined = accompany(reference_statistic(result), verdict)

    assert joined.label == verdict.label
    assert [each.p_value for each in joined.statistics[1:]] == [None, None, None]
    assert joined.statistics[-1].suspected_class == 4
    assert joined.statistics[1].suspected_class == 0
    assert joined.statistics[1].value == pytest.approx(0.8)
