"""Which references may be used: not the model itself, of its task, measured on its samples, not
suspicious, and agreeing.

A reference that carries the same backdoor hides it, so a reference in which a class stands out by
itself is left out, and so is one that the others contradict. What is left out is named. Among two
or three classes none stands out by itself, so of those only the others can contradict.

Of many classes a reference knows only those that were searched to the end in it. What it says
nothing of it cannot acquit, so where such a class stands out in the model it is left out as well:
a profile that was measured for other models, as one that is measured for this is asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.class_names import class_text
from stages.guessing import above_guessing
from stages.verdict.calibration import Calibration
from stages.verdict.profile import ClassProfile
from stages.verdict.score import null_of, p_value, printable_p, scores
from stages.verdict.settings import VettingConfig


@dataclass(frozen=True, kw_only=True)
class Vetted:
    """The references that may be used, and a sentence on each that may not."""

    kept: tuple[ClassProfile, ...]
    remarks: tuple[str, ...]


def vet(
    profile: ClassProfile,
    references: tuple[ClassProfile, ...],
    config: VettingConfig,
    calibration: Calibration,
    rate: float,
) -> Vetted:
    """The references that may be compared with the model of `profile`, which by itself is blocked
    at a false-alarm `rate` in (0, 1).
    """
    kept, remarks = [], []
    asked = outstanding(profile, calibration, rate) if references else ()
    for reference in references:
        fault = _unfit(profile, reference, config, calibration)
        fault = fault or _silent(profile, reference, asked)
        if fault:
            remarks.append(f"reference `{reference.name}` is left out: {fault}")
        else:
            kept.append(reference)
    contradicted = _contradicted(tuple(kept), config, calibration)
    remarks += [
        f"reference `{each.name}` is left out: the other references contradict it"
        for each in contradicted
    ]
    agreeing = tuple(each for each in kept if each not in contradicted)
    return Vetted(kept=agreeing, remarks=tuple(remarks))


def outstanding(profile: ClassProfile, calibration: Calibration, rate: float) -> tuple[int, ...]:
    """The classes for each of which a model would be blocked by itself at a false-alarm `rate` in
    (0, 1); none of few classes.
    """
    if calibration.is_few(profile.classes):
        return ()
    null = null_of(calibration, profile.classes, referenced=False)
    found = scores(profile, (), calibration).tolist()
    return tuple(at for at, own in enumerate(found) if p_value(own, null, profile.classes) <= rate)


def own_p_value(profile: ClassProfile, calibration: Calibration) -> tuple[int, float] | None:
    """The class that leads in a model by itself, and how often one leads so far by chance; None of
    a model of few classes, which is not judged by itself.
    """
    if calibration.is_few(profile.classes):
        return None
    return _leading(profile, (), calibration)


def _unfit(
    profile: ClassProfile,
    reference: ClassProfile,
    config: VettingConfig,
    calibration: Calibration,
) -> str | None:
    """Why a reference cannot be used by itself, or None."""
    if reference.digest == profile.digest:
        return "it is the model that is judged"
    if reference.classes != profile.classes:
        return (
            f"it has {reference.classes} classes, the model has {profile.classes}; it is of"
            " another task"
        )
    if reference.samples != profile.samples:
        return (
            "it was measured on other clean samples than the model, or with other labels; write it"
            " again with `ban-gate calibrate` on these"
        )
    enough = above_guessing(config.min_accuracy, reference.classes)
    if reference.clean_accuracy < enough:
        return (
            f"its clean accuracy on these samples is {reference.clean_accuracy:.2f}, at least"
            f" {enough:.2f} is needed; it is of another task, or reads its input"
            " differently"
        )
    return _suspicious(profile, reference, config, calibration)


def _suspicious(
    profile: ClassProfile,
    reference: ClassProfile,
    config: VettingConfig,
    calibration: Calibration,
) -> str | None:
    """That a class stands out in a reference by itself, or None."""
    own = own_p_value(reference, calibration)
    if own is None or own[1] > config.suspicious:
        return None
    leading, p = own
    shown, is_bound = printable_p(p, calibration.alone)
    named = class_text(leading, profile.class_names)
    return f"{named} stands out in it too (p {'<' if is_bound else '='} {shown:.2g})"


def _silent(profile: ClassProfile, reference: ClassProfile, asked: Sequence[int]) -> str | None:
    """That a class which stands out in the model was not searched in a reference, or None."""
    if not asked:
        return None
    unknown = _unknown(profile, reference)
    for number in asked:
        if unknown[number]:
            named = class_text(number, profile.class_names)
            return (
                f"{named} stands out in the model and was not searched in it; in place of a profile"
                " name the reference itself, in which it is searched then"
            )
    return None


def _unknown(profile: ClassProfile, reference: ClassProfile) -> npt.NDArray[np.bool_]:
    """Which classes (K,) a statistic tells something of in the model, but not in a reference where
    it does of others.
    """
    unknown = np.zeros(profile.classes, bool)
    for name, values in profile.statistics.items():
        missing = np.isnan(reference.statistics[name])
        if not missing.all():
            unknown |= missing & ~np.isnan(values)
    return unknown


def _contradicted(
    references: tuple[ClassProfile, ...], config: VettingConfig, calibration: Calibration
) -> list[ClassProfile]:
    """The references in which a class stands out against the mean of the others."""
    if len(references) < 2:
        return []
    contradicted = []
    for each in references:
        others = tuple(other for other in references if other is not each)
        if _leading(each, others, calibration)[1] <= config.disagreeing:
            contradicted.append(each)
    return contradicted


def _leading(
    profile: ClassProfile, references: tuple[ClassProfile, ...], calibration: Calibration
) -> tuple[int, float]:
    """The class with the largest score, and its p-value by the null."""
    found = scores(profile, references, calibration)
    null = null_of(calibration, profile.classes, referenced=bool(references))
    return int(found.argmax()), p_value(float(found.max()), null, profile.classes)
