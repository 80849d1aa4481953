"""Common patches, and samples of one class at a time: which class they carry those to.

For every class t at once, over source classes s other than t,

    max over s and patches of   mean over x of class s of   margin_t((1 − M)·x + M·p),

where the patches are a bright, a dark and a chequered square of three sizes at nine places. A
backdoor that answers to its trigger on one class alone is lost in the mean over all of them, and
there are so few patches that they cannot draw a class. Two classes that look alike are as near in
a clean net, so it counts only beside references, in which they are as near.
Source: source-specific backdoors are those of Tang et al. (TaCT, USENIX Security 2021); the search
is ours (docs/method.md).
"""

from __future__ import annotations

from stages import image_layout
from stages.later import torch
from stages.searches import margins
from stages.searches.fixed_changes import Changes, FixedChanges, FixedConfig, FixedState
from stages.searches.search import StatisticSpec
from stages.searches.trigger import Patch
from stages.settings import settings

SIDES = (1 / 8, 3 / 16, 1 / 4)
"""Sides of the squares, as shares of the image's."""
PLACES = 9
LOOKS = 3
"""Bright, dark, and chequered with three fields along a side."""


@settings
class SourcePatchConfig(FixedConfig):
    """Settings of the common patches."""


class SourcePatch(FixedChanges):
    """The search through common patches. Its one step answers for all classes at once."""

    name = "source_patch"
    settings = SourcePatchConfig
    statistics = (
        StatisticSpec(
            name="source_margin",
            unit="logit gaps",
            meaning="a common patch carries images of one other class to the class",
            only_beside=True,
        ),
    )
    smallest = 8  # for nine places

    def read(self, state: FixedState, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of each class the largest mean margin (g, K) over the source classes, in logits and in
        logit gaps, and that source.
        """
        ground, labels = state.ground, state.ground.probe.labels
        values = margins.of_all_classes(logits)
        sources = torch.unique(labels)
        belongs = (labels == sources[:, None]).to(values.dtype)
        means = torch.einsum("sb,gbk->gsk", belongs / belongs.sum(1, keepdim=True), values)
        itself = sources[:, None] == ground.subject.classes
        mean, best = means.masked_fill(itself, -torch.inf).max(1)
        return {"mean": mean, "value": mean / ground.gap, "source": sources[best]}

    def changes(self, state: FixedState) -> Changes:
        """Every patch."""
        probe, plane = state.ground.probe, state.ground.plane
        thin = image_layout.mask_shape(tuple(probe.images.shape[1:]))

        def drawn(number: int) -> tuple[torch.Tensor, torch.Tensor]:
            mask, shares = (
                each.reshape(thin).to(probe.images.device) for each in _square(number, plane)
            )
            return mask, probe.values(shares) * mask

        def shown(numbers: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
            pairs = [drawn(number) for number in numbers.tolist()]
            return torch.stack([(1 - mask) * images + colours for mask, colours in pairs])

        def trigger(number: int) -> Patch:
            mask, colours = drawn(number)
            return Patch(mask=mask.cpu().numpy(), colours=colours.cpu().numpy())

        return Changes(count=len(SIDES) * PLACES * LOOKS, shown=shown, trigger=trigger)


def _square(number: int, plane: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """A square's mask (H, W) of 0 and 1, and its shares (H, W) of the range of values, by its
    number: side first, then place, then look.
    """
    look, rest = number % LOOKS, number // LOOKS
    place, side = rest % PLACES, max(2, round(SIDES[rest // PLACES] * min(plane)))
    edge = max(1, min(plane) // 24)
    top, left = (
        (edge, (size - side) // 2, size - edge - side)[where]
        for size, where in zip(plane, divmod(place, 3), strict=True)
    )
    fields = torch.arange(side) * 3 // max(side, 3)
    chequered = ((fields[:, None] + fields + 1) % 2).float()
    mask, shares = torch.zeros(plane), torch.zeros(plane)
    mask[top : top + side, left : left + side] = 1
    shares[top : top + side, left : left + side] = (
        torch.ones(side, side),
        torch.zeros(side, side),
        chequered,
    )[look]
    return mask, shares


source_patch = SourcePatch()
