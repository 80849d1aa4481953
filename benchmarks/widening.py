"""Whether the limits hold of clean models that nothing was fitted on, with fewer or more classes or
images of other sides; where they do, the range takes these in.

The models are judged by tails and nulls as they are, alone and beside one reference each. A limit
holds if chance blocks as many of them often enough at the false-alarm rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import click
from scipy.stats import binomtest

from benchmarks.outcomes import every_kind
from benchmarks.profiles import Known
from pipeline.config import ScanConfig
from stages.verdict.calibration import Calibration, Range
from stages.verdict.profile import ClassProfile

FEWEST = 20
"""Fewer clean models say too little."""
DOUBT = 0.05
"""A limit does not hold if chance blocks as many more seldom than this."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One end of a range: its name there, what of a model it bounds, and `min` or `max`."""

    name: str
    of: Callable[[ClassProfile], int]
    furthest: Callable[[Iterable[int]], int]

    def excludes(self, model: Known, measured: Range) -> bool:
        """Whether a model lies beyond this end."""
        end: int = getattr(measured, self.name)
        return self.furthest((self.of(model.profile), end)) != end


BOUNDS = (
    Bound(name="fewest_classes", of=attrgetter("classes"), furthest=min),
    Bound(name="most_classes", of=attrgetter("classes"), furthest=max),
    Bound(name="smallest_side", of=attrgetter("side"), furthest=min),
    Bound(name="largest_side", of=attrgetter("side"), furthest=max),
)


def widened(calibration: Calibration, models: Sequence[Known]) -> Calibration:
    """The calibration with a range that takes in clean models for which its limits hold."""
    judgeable = [e for e in models if e.clean and not calibration.is_few(e.profile.classes)]
    ends = {}
    for bound in BOUNDS:
        beyond = [each for each in judgeable if bound.excludes(each, calibration.range)]
        if beyond and _holds(calibration, beyond, bound.name):
            ends[bound.name] = bound.furthest(bound.of(each.profile) for each in beyond)
    return replace(calibration, range=replace(calibration.range, **ends))


def _holds(calibration: Calibration, models: Sequence[Known], which: str) -> bool:
    """Whether no more clean models are blocked than chance would, by any kind of verdict."""
    config, likely = replace(ScanConfig(), calibration=calibration), []
    rate = config.judge.false_alarm_rate
    for kind, outcomes in every_kind(models, models, config).items():
        blocked = sum(bool(each.blocked) for each in outcomes)
        if outcomes:
            likely.append(binomtest(blocked, len(outcomes), rate, alternative="greater").pvalue)
            click.echo(f"{which}, {kind}: {blocked} of {len(outcomes)} clean models blocked")
    return len(models) >= FEWEST and min(likely) >= DOUBT
