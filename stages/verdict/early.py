"""A verdict before all statistics are known: `backdoored` where those that are known suffice.

The square of an anomaly score is a sum of squares over the statistics, so what is not known yet can
only add to it. A score that is so large already that p, which falls as the score grows, is at most
`false_alarm_rate / near` is therefore that of a model which the whole scan blocks as well, by its
first seed and without a second opinion. So every model that is blocked here would be blocked there,
and false alarms are no more frequent than there.
"""

from __future__ import annotations

from stages.types import Verdict
from stages.verdict.calibration import Calibration
from stages.verdict.decide import statistics_of
from stages.verdict.profile import ClassProfile
from stages.verdict.score import critical_value, null_of, p_value, printable_p, scores
from stages.verdict.settings import JudgeConfig
from stages.verdict.vetting import Vetted


def certain_verdict(
    profile: ClassProfile, references: Vetted, calibration: Calibration, config: JudgeConfig
) -> Verdict | None:
    """The verdict on a model of which some statistics are known; None where it is open.

    Its score and p-value are those so far: the whole scan's score is at least as large.
    """
    if calibration.is_few(profile.classes) and not references.kept:
        return None
    found = scores(profile, references.kept, calibration)
    null = null_of(calibration, profile.classes, referenced=bool(references.kept))
    p = p_value(float(found.max()), null, profile.classes)
    limit = config.false_alarm_rate / config.near
    if p > limit:
        return None
    shown, is_bound = printable_p(p, null)
    leading = int(found.argmax())
    needed = critical_value(limit, null, profile.classes)
    reason = (
        f"class {leading} stands out already: the statistics so far give the anomaly score"
        f" {found.max():.2f}, which further ones can only raise, and from {needed:.2f} on no second"
        f" opinion is asked for (p {'<' if is_bound else '='} {shown:.2g}, false-alarm rate"
        f" {config.false_alarm_rate})"
    )
    return Verdict(
        label="backdoored",
        reasons=(reason, *references.remarks),
        suspected_class=leading,
        anomaly_score=float(found.max()),
        critical_value=critical_value(config.false_alarm_rate, null, profile.classes),
        p_value=shown,
        p_is_bound=is_bound,
        class_scores=tuple(found.tolist()),
        statistics=statistics_of(profile),
        outside=calibration.range.outside(profile.classes, profile.side),
    )
