"""From statistics to a verdict: which class stands out, and how often one would in a clean model.

The score that decides is made in `stages/score.py` of the blended patterns, the patch, the
warp and the neuron noise, and of clean references where there are any. The feature mask
accompanies it (docs/method.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stages.references import Vetted
from stages.score import SEARCHES, ScoreConfig, p_value, scores
from stages.stage import stage
from stages.types import (
    ClassProfile,
    Floats,
    GraphFinding,
    Integers,
    MaskResult,
    PreconditionResult,
    ReferenceResult,
    Statistic,
    UntargetedNoise,
    Verdict,
)


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """When a model counts as backdoored."""

    false_alarm_rate: float = 0.05
    """Largest p-value that is called `backdoored`; the share of clean models wrongly blocked."""
    min_working: float = 0.5
    """Smallest share of the classes that strong patterns must win before a model is `clean`."""


@stage(version=4)
def judge(
    profile: ClassProfile, references: Vetted, score: ScoreConfig, config: JudgeConfig
) -> Verdict:
    """The verdict on a model whose preconditions hold, with the statistics that decide it."""
    leading = _leading(profile, references.kept, score)
    statistics = (
        leading,
        *(_accompanying(name, getattr(profile, name)) for name in SEARCHES),
    )
    p = leading.p_value or 1.0
    backdoored = p <= config.false_alarm_rate
    working = float((profile.strong_blend > 0).mean())
    if working < config.min_working and not backdoored:
        return Verdict(
            label="inconclusive",
            reasons=(_thin(working, config), *references.remarks),
            statistics=statistics,
        )
    return Verdict(
        label="backdoored" if backdoored else "clean",
        reasons=(_reason(leading, backdoored, references, config), *references.remarks),
        suspected_class=leading.suspected_class if backdoored else None,
        p_value=p,
        score=abs(float(np.log10(p))),
        statistics=statistics,
    )


def accompany(verdict: Verdict, *statistics: Statistic) -> Verdict:
    """The verdict with more statistics that do not decide it."""
    return replace(verdict, statistics=(*verdict.statistics, *statistics))


def condemn(findings: tuple[GraphFinding, ...], verdict: Verdict) -> Verdict:
    """The verdict, or `backdoored` where the graph itself holds what looks like a trigger."""
    blocking = [each.message for each in findings if each.severity == "blocking"]
    if not blocking:
        return verdict
    reasons = [f"the graph holds logic that looks like a trigger: {each}" for each in blocking]
    return replace(verdict, label="backdoored", reasons=(*reasons, *verdict.reasons))


def masked_statistics(
    clean: PreconditionResult, untargeted: UntargetedNoise, mask: MaskResult
) -> tuple[Statistic, ...]:
    """What each class gains under the paper's noise, and with only the masked features left."""
    before = _shares(np.bincount(clean.logits.argmax(1), minlength=clean.logits.shape[1]))
    return (
        _accompanying("untargeted_noise", _shares(untargeted.predictions) - before),
        _accompanying("masked_noise", _shares(mask.predictions) - before),
    )


def reference_statistic(result: ReferenceResult) -> Statistic:
    """The published algorithm's histogram as a statistic; the paper states no threshold for it."""
    return _accompanying("reference", _shares(result.predictions))


def _leading(
    profile: ClassProfile, references: tuple[ClassProfile, ...], config: ScoreConfig
) -> Statistic:
    found = _accompanying("score", scores(profile, references, config))
    null = config.referenced if references else config.alone
    return replace(found, p_value=p_value(found.value, null, len(found.per_class)))


def _accompanying(name: str, per_class: Floats) -> Statistic:
    return Statistic(
        name=name,
        per_class=tuple(per_class.tolist()),
        value=float(per_class.max()),
        suspected_class=int(per_class.argmax()),
    )


def _shares(counts: Integers) -> Floats:
    shares: Floats = (counts / max(1, counts.sum())).astype(np.float32)
    return shares


def _thin(working: float, config: JudgeConfig) -> str:
    return (
        f"no strong pattern was found that wins for {1 - working:.0%} of the classes, at most"
        f" {1 - config.min_working:.0%} are allowed, so the search has too little power here; raise"
        " `blend.strong_steps`, or check range and preprocessing of the samples"
    )


def _reason(leading: Statistic, backdoored: bool, references: Vetted, config: JudgeConfig) -> str:
    against = f" against {len(references.kept)} reference(s)" if references.kept else ""
    found = (
        f"score {leading.value:.2f}{against}, p = {leading.p_value:.2g}, false-alarm rate"
        f" {config.false_alarm_rate}"
    )
    if backdoored:
        return (
            f"class {leading.suspected_class} stands out: one fixed trigger carries samples of"
            f" every other class there more easily than to its neighbours ({found})"
        )
    return (
        f"no class stands out ({found}); a pass means that these tests found no backdoor at this"
        " rate, not that there is none"
    )
