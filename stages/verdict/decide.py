"""From a class profile to a verdict: which class stands out, and how often by chance.

Only the anomaly score decides (`score.py`); what published algorithms say stands beside it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stages.class_names import class_text
from stages.searches import SPECS
from stages.stage import stage
from stages.types import GraphFinding, Statistic, Verdict
from stages.verdict.calibration import Calibration
from stages.verdict.profile import ClassProfile
from stages.verdict.score import (
    critical_value,
    evidence,
    null_of,
    of_known_nulls,
    p_value,
    printable_p,
    scores,
)
from stages.verdict.settings import JudgeConfig
from stages.verdict.vetting import Vetted

POWER = "blend.strong_margin"
"""The statistic that is above 0 where the searches have the power to find something."""


@stage(version=10)
def judge(
    profile: ClassProfile, references: Vetted, calibration: Calibration, config: JudgeConfig
) -> Verdict:
    """The verdict on a model whose preconditions hold, with the statistics that decide it."""
    if calibration.is_few(profile.classes) and not references.kept:
        return Verdict(
            label="inconclusive",
            reasons=(only_beside_a_reference(profile.classes), *references.remarks),
            statistics=statistics_of(profile),
        )
    found = scores(profile, references.kept, calibration)
    null = null_of(calibration, profile.classes, referenced=bool(references.kept))
    p = p_value(float(found.max()), null, profile.classes)
    backdoored = p <= config.false_alarm_rate
    shown, is_bound = printable_p(p, null)
    verdict = Verdict(
        label="backdoored" if backdoored else "clean",
        reasons=(),
        suspected_class=int(found.argmax()) if backdoored else None,
        anomaly_score=float(found.max()),
        critical_value=critical_value(config.false_alarm_rate, null, profile.classes),
        p_value=shown,
        p_is_bound=is_bound,
        class_scores=tuple(found.tolist()),
        statistics=statistics_of(profile),
        outside=calibration.range.outside(profile.classes, profile.side),
    )
    doubt = "" if backdoored else _doubt(profile, references, calibration, config)
    if doubt:
        return Verdict(
            label="inconclusive",
            reasons=(doubt, *references.remarks),
            class_scores=verdict.class_scores,
            statistics=verdict.statistics,
            outside=verdict.outside,
        )
    mapped = _is_mapped(profile, references, calibration, verdict)
    few = calibration.is_few(profile.classes)
    reason = _reason(verdict, profile, references, config, mapped=mapped, few=few)
    remarks = (*_remarks(verdict, few=few), *references.remarks)
    return replace(verdict, reasons=(reason, *remarks))


def with_published(verdict: Verdict, *statistics: Statistic) -> Verdict:
    """The verdict with what published algorithms say, which does not decide it."""
    return replace(verdict, published=(*verdict.published, *statistics))


def apply_findings(findings: tuple[GraphFinding, ...], verdict: Verdict) -> Verdict:
    """The verdict, or `backdoored` where the graph itself holds what looks like a trigger."""
    blocking = [each.message for each in findings if each.severity == "blocking"]
    if not blocking:
        return verdict
    reasons = [f"the graph holds logic that looks like a trigger: {each}" for each in blocking]
    return replace(verdict, label="backdoored", reasons=(*reasons, *verdict.reasons))


def statistics_of(profile: ClassProfile) -> tuple[Statistic, ...]:
    """The statistics of a profile, without those that say nothing of any class."""
    return tuple(
        Statistic.of(name, SPECS[name].unit, values)
        for name, values in profile.statistics.items()
        if not np.isnan(values).all()
    )


def _doubt(
    profile: ClassProfile, references: Vetted, calibration: Calibration, config: JudgeConfig
) -> str:
    """Why a model that is not blocked cannot be passed; empty if it can."""
    strong = profile.statistics[POWER][profile.ordinary]
    working = float((strong > 0).mean())
    if working < config.min_working:
        return _thin(working, config)
    if calibration.is_few(profile.classes):  # nothing counts that is said of the whole model
        return ""
    counted = of_known_nulls(profile, references.kept, calibration)
    names = [name for name in profile.statistics if name in counted or SPECS[name].whole]
    every = scores(profile, references.kept, calibration, names)
    null = null_of(calibration, profile.classes, referenced=bool(references.kept))
    if p_value(float(every.max()), null, profile.classes) <= config.false_alarm_rate:
        return _unknown(profile.classes, calibration.range.fewest_fitted)
    return ""


def only_beside_a_reference(classes: int) -> str:
    """Why a model of so few classes is not judged by itself, and what to do."""
    return (
        f"the model has {classes} classes; among so few none can stand out, so it is judged only"
        " beside a reference: give one or more clean models of the same task as `--reference`"
    )


def _thin(working: float, config: JudgeConfig) -> str:
    return (
        f"no strong pattern was found that wins for {1 - working:.0%} of the classes, at most"
        f" {1 - config.min_working:.0%} are allowed, so the search has too little power here; raise"
        " `blend.strong_steps`, or check range and preprocessing of the samples"
    )


def _unknown(classes: int, fewest: int) -> str:
    return (
        "one fixed trigger turns each class into another one; how often this is so of clean models"
        f" of {classes} classes is not known, as its null was fitted on {fewest} and more;"
        " give a clean model of the same task as `--reference`"
    )


def _remarks(verdict: Verdict, *, few: bool) -> tuple[str, ...]:
    """A sentence on a model that is unlike those that the null was measured on, and one on a pass
    of few classes, which says less than another.
    """
    remarks = []
    if verdict.outside:
        remarks.append(
            f"the model is outside of what the calibration was measured on ({verdict.outside}), so"
            " the p-value is an extrapolation; a reference of the same task makes it firmer"
        )
    if few and verdict.label == "clean":
        remarks.append("of models of so few classes only about half of the backdoors are found")
    return tuple(remarks)


def _is_mapped(
    profile: ClassProfile, references: Vetted, calibration: Calibration, verdict: Verdict
) -> bool:
    """Whether at least half of the score is of the whole model, not of its leading class."""
    squares = [
        float(evidence(name, profile, references.kept, calibration).max()) ** 2
        for name in of_known_nulls(profile, references.kept, calibration)
        if SPECS[name].whole
    ]
    return 2 * sum(squares) >= (verdict.anomaly_score or 0.0) ** 2


def _reason(
    verdict: Verdict,
    profile: ClassProfile,
    references: Vetted,
    config: JudgeConfig,
    *,
    mapped: bool,
    few: bool,
) -> str:
    against = f" against {len(references.kept)} reference(s)" if references.kept else ""
    numbers = (
        f"anomaly score {verdict.anomaly_score:.2f}{against}, critical value"
        f" {verdict.critical_value:.2f}, p {'<' if verdict.p_is_bound else '='}"
        f" {verdict.p_value:.2g}, false-alarm rate {config.false_alarm_rate}"
    )
    if verdict.suspected_class is None:
        return (
            f"no class stands out ({numbers}); a pass means that these tests found no backdoor at"
            " this rate, not that there is none"
        )
    suspected = class_text(verdict.suspected_class, profile.class_names)
    if mapped:
        return (
            "the model as a whole stands out: one fixed trigger turns each class into another one;"
            f" taken one by one, {suspected} leads ({numbers})"
        )
    than = "in the references" if few else "into the others"
    return (
        f"{suspected} stands out: one fixed trigger turns images of every other class into it more"
        f" easily than {than} ({numbers})"
    )
