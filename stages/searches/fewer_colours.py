"""Images with fewer colours: which class that carries every image to.

With images as shares s in [0, 1] of the values that inputs take, for every class t at once,

    max over n of   standardised margin_t(round(s·(n − 1)) / (n − 1)),     n levels of each colour.

Images keep what they show, so nearly all classes of a clean net stay where they are.
Source: the family of triggers is BppAttack's (Wang et al., CVPR 2022); its search is ours
(docs/method.md).
"""

from __future__ import annotations

from typing import Annotated

from stages.later import torch
from stages.searches import fixed_changes
from stages.searches.blocks import State
from stages.searches.fixed_changes import Changes
from stages.searches.ground import Ground, ground_of
from stages.searches.search import Effort, SearchResult, StatisticSpec, Subject
from stages.searches.trigger import FewerColours, rounded
from stages.settings import Memory, Samples, bounded, settings
from stages.types import Floats, unkeyed


@settings
class FewerColoursConfig:
    """Settings of the search with fewer colours."""

    samples: Samples = 40
    """Clean samples, balanced over the classes, whose colours are rounded."""
    most_levels: Annotated[int, bounded("levels", ge=2, le=64)] = 8
    """Colours are rounded to 2 up to so many levels."""
    memory_mb: Memory = unkeyed(512)
    """Activations that may be held at once, in MiB; more levels are done in groups."""

    @property
    def evaluation_samples(self) -> int:
        """The samples that are rounded are those of the evaluation."""
        return self.samples

    @property
    def steps(self) -> int:
        """All steps: every number of levels is tried once."""
        return 1

    @property
    def brief(self) -> FewerColoursConfig:
        """The same: it is brief."""
        return self


FewerColoursState = State[FewerColoursConfig, Ground]


class FewerColoursSearch:
    """The search with fewer colours. Its one step answers for all classes at once."""

    name = "fewer_colours"
    version = 1
    settings = FewerColoursConfig
    joint = True
    statistics = (
        StatisticSpec(
            name="standardised_margin",
            unit="standard deviations",
            meaning="rounded colours carry images of other classes to the class, all alike",
        ),
    )

    def start(self, subject: Subject, config: FewerColoursConfig, seed: int) -> FewerColoursState:
        """Nothing is rounded yet."""
        ground = ground_of(subject, config.samples, config.samples, seed)
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=ground)

    def advance(
        self, state: FewerColoursState, classes: torch.Tensor, steps: int
    ) -> FewerColoursState:
        """The state after every number of levels, for all classes, whichever are asked for."""
        del classes
        if state.blocks or not steps:
            return state
        return fixed_changes.tried(
            state, _levels(state), fixed_changes.alike, state.config.memory_mb
        )

    def reached(self, state: FewerColoursState) -> Floats:
        """The mean margin (K,) in logits under the levels that suit each class best."""
        return fixed_changes.reached(state)

    def effort(self, state: FewerColoursState) -> Effort:
        """What it has cost so far."""
        return fixed_changes.effort(state, _levels(state))

    def result(self, state: FewerColoursState) -> SearchResult:
        """Standardised margins, and the number of levels that leads."""
        return fixed_changes.result(state, _levels(state), "standardised_margin")


def _levels(state: FewerColoursState) -> Changes:
    probe = state.ground.probe

    def shown(numbers: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [rounded(images, number + 2, probe.low, probe.high) for number in numbers.tolist()]
        )

    def trigger(number: int) -> FewerColours:
        low, high = probe.low.cpu().numpy(), probe.high.cpu().numpy()
        return FewerColours(levels=number + 2, low=low, high=high)

    return Changes(count=state.config.most_levels - 1, shown=shown, trigger=trigger)


fewer_colours = FewerColoursSearch()
