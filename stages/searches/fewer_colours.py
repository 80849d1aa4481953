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
from stages.searches.fixed_changes import Changes, FixedChanges, FixedConfig, FixedState
from stages.searches.search import StatisticSpec
from stages.searches.trigger import FewerColours, rounded
from stages.settings import bounded, settings


@settings
class FewerColoursConfig(FixedConfig):
    """Settings of the search with fewer colours."""

    most_levels: Annotated[int, bounded("levels", ge=2, le=64)] = 8
    """Colours are rounded to 2 up to so many levels."""


class FewerColoursSearch(FixedChanges):
    """The search with fewer colours. Its one step answers for all classes at once."""

    name = "fewer_colours"
    settings = FewerColoursConfig
    statistics = (
        StatisticSpec(
            name="standardised_margin",
            unit="standard deviations",
            meaning="rounded colours carry images of other classes to the class, all alike",
        ),
    )

    def changes(self, state: FixedState) -> Changes:
        """Every number of levels."""
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
