"""What a search is: something that looks for a trigger of every class and gives numbers per class.

A search can be stopped and taken up again: it advances chosen classes by some steps. Budgets, and
which classes are worth more steps, are decided outside (`screen.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from stages.later import torch
from stages.searches.blocks import State
from stages.searches.trigger import Trigger
from stages.types import (
    CleanSamples,
    Floats,
    Integers,
    PreconditionResult,
    SiteStatistics,
    TorchTwin,
    freeze,
)


@dataclass(frozen=True, kw_only=True)
class StatisticSpec:
    """A number per class that a search gives: name, unit, and what a large one means.

    Where `whole` is true it is the same for all classes, as it is said of the whole model, and is
    measured against other models instead of the other classes. Where `only_beside` is true it
    counts beside references only, as clean models by themselves reach as much. Where another
    statistic is named in `beyond`, it counts as far as it goes beyond what that says of the median
    class: where every class is reached anyway, it says no more.
    """

    name: str
    unit: str
    meaning: str
    whole: bool = False
    only_beside: bool = False
    beyond: str | None = None


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What a search cost: gradient `steps`, added up over the classes, and the `images` that were
    shown to the twin forward and backward in them.
    """

    steps: int
    images: int

    def __add__(self, other: Effort) -> Effort:
        return Effort(steps=self.steps + other.steps, images=self.images + other.images)


@dataclass(frozen=True, kw_only=True, eq=False)
class Early:
    """What a search had reached after its first steps: the mean margin (K,) in logits on the
    samples searched on, NaN for a class that was not searched, and what that had cost.
    """

    reached: Floats
    effort: Effort

    def __post_init__(self) -> None:
        freeze(self.reached)


@dataclass(frozen=True, kw_only=True)
class AttackSuccess:
    """The attack success rate of what a search recovered: the share in [0, 1] of `samples` clean
    samples of other classes that it carries to the target.

    `inside_twin` is true where the trigger is neuron noise, which no image can carry; `source` is
    the class that all samples are of, where the trigger is for one class alone.
    Source: BackdoorBench's ASR, on correctly classified samples alone.
    """

    rate: float
    samples: int
    inside_twin: bool = False
    source: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """How the success of neuron noise grows with its bound.

    `bounds` (S,) are the bounds ε; `success_rate` (S, K) the share in [0, 1] of probe samples of
    other classes that go to each class; `worst_source` (S, K) the same among the source classes
    that resist most; `target_margin` (S, K) the mean margin in logit gaps; `chosen` the index of
    the first bound at which the median class's margin is what the verdict looks at; `by_site`
    (K, sites) what the noise of each site has added to the margin up to that bound.
    """

    bounds: Floats
    success_rate: Floats
    worst_source: Floats
    target_margin: Floats
    chosen: int
    by_site: Floats

    def __post_init__(self) -> None:
        freeze(self.bounds, self.success_rate, self.worst_source, self.target_margin, self.by_site)

    @property
    def epsilon(self) -> float:
        """The bound on |δ| and |ξ| that the verdict looks at."""
        return float(self.bounds[self.chosen])

    @property
    def searched(self) -> Integers:
        """The classes (n,) that noise was found for; the curves of all others are NaN."""
        known: Integers = np.flatnonzero(~np.isnan(self.success_rate).any(0))
        return known


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """What a search says of a model.

    `statistics` (K,) each, by name, NaN for a class that was not searched; `targets` are the class
    it would accuse, or several; `mapping` (K,) leads from source to target where a trigger carries
    each class to another. `trigger` is the one to the first target. `early` is what the first steps
    reached, where the search asks that. A `silent` search says nothing of any class, and this says
    why.
    """

    statistics: Mapping[str, Floats]
    targets: tuple[int, ...]
    mapping: Integers | None = None
    trigger: Trigger | None = None
    success: AttackSuccess | None = None
    effort: Effort
    sweep: Sweep | None = None
    early: Early | None = None
    silent: str = ""

    def __post_init__(self) -> None:
        freeze(*self.statistics.values())

    @property
    def accused(self) -> int | None:
        """The one class it would accuse; None where it has none, or each class has its own."""
        return self.targets[0] if self.targets and self.mapping is None else None

    @property
    def permuted(self) -> tuple[int, ...]:
        """The class that each one goes to, from class 0 on; empty where no such trigger was found.

        A search for one always ends with a mapping; only its targets say that a trigger follows it.
        """
        known = self.targets and self.mapping is not None
        return tuple(self.mapping.tolist()) if known and self.mapping is not None else ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What is searched: a proven twin, clean samples, and what the twin does on them."""

    twin: TorchTwin
    samples: CleanSamples
    clean: PreconditionResult
    sites: tuple[SiteStatistics, ...]

    @property
    def classes(self) -> torch.Tensor:
        """All classes (K,), on the twin's device."""
        return torch.arange(self.twin.classes, device=self.twin.device)


class Search(Protocol):
    """A search for a trigger of every class at once.

    `version` is raised when its results change, `settings` is the type of its settings, which have
    a field `memory_mb` and properties `steps`, all steps of one class, and `brief`, the settings
    of a first look at every class, or None where it takes no such look. A `joint` search has one
    trigger for all classes, or none, or tries the same ones for each: it advances all of them,
    whichever are asked for.
    """

    name: str
    version: int
    joint: bool

    @property
    def early_after(self) -> int | None:
        """After how many steps it may be told that no class stands out; None: never."""

    @property
    def settings(self) -> type[Any]:
        """The type of its settings."""

    @property
    def statistics(self) -> tuple[StatisticSpec, ...]:
        """What it says of every class."""

    def start(self, subject: Subject, config: Any, seed: int) -> State[Any, Any]:
        """A search of which no class has begun; `seed` draws its samples and starting points."""

    def advance(self, state: State[Any, Any], classes: torch.Tensor, steps: int) -> State[Any, Any]:
        """The state after up to `steps` more steps of some classes (n,); the twin is left alone."""

    def at_once(self, state: State[Any, Any]) -> int:
        """How many classes it advances together; groups of so many know nothing of each other."""

    def reached(self, state: State[Any, Any]) -> Floats:
        """The mean margin (K,) in logits on the samples searched on; NaN where nothing began."""

    def effort(self, state: State[Any, Any]) -> Effort:
        """What it has cost so far."""

    def result(self, state: State[Any, Any]) -> SearchResult:
        """What the search says as far as it has come."""


def most(values: Floats) -> int:
    """The class with the largest of values (K,), of which some may be NaN."""
    return int(np.nanargmax(values))
