"""What reports show of the triggers that a scan recovered: the best first, then every search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pipeline.evidence import ScanResult
from pipeline.report.pictures import TriggerPictures, can_be_shown, trigger_pictures
from pipeline.report.recovered import best_search
from pipeline.report.wording import WORDING, permuted_text, success_text
from stages.class_names import class_text


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What one search recovered: its success in words, and pictures where there are any.

    It leads to a `target`, from one `source` class alone where there is one, or to the class that
    `mapping` has for each one, from class 0 on. `rate`
    is the attack success rate in [0, 1] on so many `samples`; None if it was not measured.
    """

    search: str
    title: str
    target: int | None
    source: int | None
    mapping: tuple[int, ...]
    means: str
    success: str
    rate: float | None
    samples: int
    inside_twin: bool
    pictures: TriggerPictures | None


@dataclass(frozen=True, kw_only=True)
class Triggers:
    """Recovered triggers: to the suspected class, to others, and those that permute the classes.

    `best` is the one that a page begins with; a model that is not backdoored has none. `nothing`
    says of each search that found no trigger, by its name, why. `are_pictures` says whether the
    model takes images, so that a trigger can be seen.
    """

    are_pictures: bool
    best: Recovered | None
    suspected: tuple[Recovered, ...]
    others: tuple[Recovered, ...]
    permuting: tuple[Recovered, ...]
    nothing: Mapping[str, str]

    @property
    def every(self) -> tuple[Recovered, ...]:
        """All of them."""
        return (*self.suspected, *self.others, *self.permuting)


def triggers(result: ScanResult) -> Triggers | None:
    """What the searches recovered, if any came that far."""
    suspected = result.verdict.suspected_class
    found = [
        _recovered(result, name) for name, each in result.evidence.searches.items() if each.targets
    ]
    if not found:
        return None
    samples, aimed = result.evidence.samples, [each for each in found if not each.mapping]
    permuting = tuple(each for each in found if each.mapping)
    return Triggers(
        are_pictures=samples is not None and can_be_shown(samples),
        best=_best(result, aimed, permuting),
        suspected=tuple(each for each in aimed if each.target == suspected),
        others=tuple(each for each in aimed if each.target != suspected),
        permuting=permuting,
        nothing={
            name: each.silent or "nothing found"
            for name, each in result.evidence.searches.items()
            if not each.targets
        },
    )


def _best(
    result: ScanResult, aimed: list[Recovered], permuting: tuple[Recovered, ...]
) -> Recovered | None:
    """What works best for the suspected class, else a trigger that has a class for each."""
    suspected = result.verdict.suspected_class
    if suspected is None:
        return None
    best = best_search(result.evidence, suspected)
    chosen = [each for each in aimed if each.search == best]
    return next((each for each in (*chosen, *permuting) if each.success), None)


def _recovered(result: ScanResult, name: str) -> Recovered:
    evidence, wording = result.evidence, WORDING[name]
    found = evidence.searches[name]
    target, success = found.accused, found.success
    named = "another class" if target is None else class_text(target, evidence.class_names)
    said = (
        permuted_text
        if target is None
        else partial(success_text, target=target, names=evidence.class_names)
    )
    return Recovered(
        search=name,
        title=f"{wording.title}{'' if target is None else f' to {named}'}",
        target=target,
        source=success.source if success else None,
        mapping=found.permuted,
        means=wording.trigger.format(target=named),
        success=said(success) if success else "",
        rate=success.rate if success else None,
        samples=success.samples if success else 0,
        inside_twin=bool(success and success.inside_twin),
        pictures=trigger_pictures(evidence, name),
    )
