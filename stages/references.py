"""Which references may be used: not the model itself, of its task, not suspicious, and agreeing.

A reference that carries the same backdoor hides it, so a reference that stands out by itself is
left out, and so is one that the others contradict. Whatever is left out is said.
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.score import ScoreConfig, p_value, scores
from stages.types import ClassProfile


@dataclass(frozen=True, kw_only=True)
class VettingConfig:
    """What a reference must satisfy."""

    min_accuracy: float = 0.5
    """Smallest clean accuracy on the samples; a model of another task falls below it."""
    suspicious: float = 0.01
    """A reference whose own p-value is this small or smaller is left out."""
    disagreeing: float = 0.01
    """So is one whose p-value against the other references is this small or smaller."""


@dataclass(frozen=True, kw_only=True)
class Vetted:
    """The references that may be used, and a sentence on each that may not."""

    kept: tuple[ClassProfile, ...]
    remarks: tuple[str, ...]


def vet(
    profile: ClassProfile,
    references: tuple[ClassProfile, ...],
    config: VettingConfig,
    score: ScoreConfig,
) -> Vetted:
    """The references that may be compared with the model of `profile`."""
    kept, remarks = [], []
    for reference in references:
        fault = _unfit(profile, reference, config, score)
        if fault:
            remarks.append(f"reference `{reference.name}` is left out: {fault}")
        else:
            kept.append(reference)
    contradicted = _contradicted(tuple(kept), config, score)
    remarks += [
        f"reference `{each.name}` is left out: the other references contradict it"
        for each in contradicted
    ]
    agreeing = tuple(each for each in kept if each not in contradicted)
    return Vetted(kept=agreeing, remarks=tuple(remarks))


def _unfit(
    profile: ClassProfile, reference: ClassProfile, config: VettingConfig, score: ScoreConfig
) -> str | None:
    """Why a reference cannot be used by itself, or None."""
    if reference.digest == profile.digest:
        return "it is the model that is judged"
    if len(reference.blend) != len(profile.blend):
        return (
            f"it has {len(reference.blend)} classes, the model has {len(profile.blend)}; it is of"
            " another task"
        )
    if reference.clean_accuracy < config.min_accuracy:
        return (
            f"its clean accuracy on these samples is {reference.clean_accuracy:.2f}, at least"
            f" {config.min_accuracy:.2f} is needed; it is of another task, or reads its input"
            " differently"
        )
    found = scores(reference, (), score)
    p = p_value(float(found.max()), score.alone, len(found))
    if p <= config.suspicious:
        return f"class {int(found.argmax())} stands out in it too (p = {p:.2g})"
    return None


def _contradicted(
    references: tuple[ClassProfile, ...], config: VettingConfig, score: ScoreConfig
) -> list[ClassProfile]:
    """The references in which a class stands out against the mean of the others."""
    if len(references) < 2:
        return []
    return [
        each
        for each in references
        if _differs(each, tuple(other for other in references if other is not each), config, score)
    ]


def _differs(
    reference: ClassProfile,
    others: tuple[ClassProfile, ...],
    config: VettingConfig,
    score: ScoreConfig,
) -> bool:
    found = scores(reference, others, score)
    p = p_value(float(found.max()), score.referenced, len(found))
    return p <= config.disagreeing
