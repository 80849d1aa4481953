"""A patch per class: one small square, anywhere in the image, that carries every image to a class.

For every class t at once, over clean samples x of other classes, with M a square of fixed size,

    max over place and p of   mean margin_t(f((1 − M)·x + M·p)).

The place is found by attention, in every region of the image apart: a softmax over the region's
places, whose squares add up to M, starts even and is sharpened until a single place is left. The
region that leads is kept, and the pattern p goes on alone. A clean net has no place where so small
a square decides for every image, so its classes lie close together here, where the free masks of
Neural Cleanse follow the strokes of what they imitate.
Source: Neural Cleanse (S&P 2019) for a mask and a pattern per class; the fixed square, the
attention over its places, the margin and the single batch are ours (docs/method.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from stages import pixels, progress, targets
from stages.ascent import ascend, mean_margins
from stages.canvas import Canvas, canvas
from stages.stage import stage
from stages.types import CleanSamples, PatchResult, PreconditionResult, TorchTwin


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """Settings of the patch."""

    side: float = 0.25
    """Side of the square as a share of the image's."""
    regions: int = 3
    """Regions along each side, each with a square of its own until the best one is kept."""
    place_samples: int = 10
    """Clean samples, balanced over the classes, that squares are laid on to find their place."""
    place_steps: int = 8
    """Adam steps of place and pattern together."""
    samples: int = 20
    """Clean samples, balanced over the classes, that the patch at its place is laid on."""
    pattern_steps: int = 10
    """Adam steps of the pattern at the place that was found."""
    rate: float = 0.3
    """Adam's learning rate for the logits of place and pattern."""
    sharpest: float = 12.0
    """Factor on the logits of the places at the last step; it grows from 1 geometrically."""
    memory_mb: int = 512
    """Activations that may be held at once, in MiB; more classes are done in groups."""


@stage(version=2)
def find_patch(
    twin: TorchTwin,
    samples: CleanSamples,
    clean: PreconditionResult,
    config: PatchConfig,
    seed: int,
) -> PatchResult:
    """How far the best patch of every class carries samples of other classes.

    Deterministic for a given seed, which draws the samples and the start. The twin is left as it
    was found.
    """
    few = canvas(twin, samples, clean, config.place_samples, seed)
    ground = canvas(twin, samples, clean, config.samples, seed)
    groups = targets.groups(twin, few.images, config.memory_mb, copies=config.regions**2)
    step_done = progress.counter(len(groups) * (config.place_steps + config.pattern_steps))
    margins, leading = [], []
    for group in groups:
        places = _Places(few, group, config, seed)
        for sharpness in _sharpnesses(config):
            places.step(sharpness)
            step_done()
        patch = _Patch(ground, group, *places.best(), config.rate)
        for _ in range(config.pattern_steps):
            patch.step()
            step_done()
        margins.append(patch.reached())
        leading.append(patch.of(int(margins[-1].argmax())))
    found = torch.cat(margins) / targets.clean_margin(clean.logits)
    mask, pattern = leading[int(torch.stack([each.max() for each in margins]).argmax())]
    return PatchResult(
        margins=found.cpu().numpy(),
        leading=int(found.argmax()),
        mask=mask.cpu().numpy(),
        pattern=pattern.cpu().numpy(),
    )


def _sharpnesses(config: PatchConfig) -> list[float]:
    last = max(config.place_steps - 1, 1)
    return [config.sharpest ** (step / last) for step in range(config.place_steps)]


class _Places:
    """One square in every region, for each of g classes: g·R rows of place and pattern logits."""

    def __init__(self, ground: Canvas, group: torch.Tensor, config: PatchConfig, seed: int) -> None:
        shape, device = tuple(ground.images.shape[1:]), ground.images.device
        height, width = pixels.plane(shape)
        self.ground, self.mask_shape = ground, pixels.mask_shape(shape)
        self.square = _square(height, width, config.side, device)
        self.sizes = (height - self.square.shape[2] + 1, width - self.square.shape[3] + 1)
        self.allowed = _regions(self.sizes, config.regions).to(device)
        self.rows = group.repeat_interleave(len(self.allowed))
        generator = torch.Generator().manual_seed(seed)
        self.places = self._raw(0.01 * torch.randn(self.allowed.shape[1], generator=generator))
        self.colours = self._raw(0.1 * torch.randn(1, *shape, generator=generator))
        self.sharpness = 1.0
        self._ascend = ascend(
            ground, self.rows, [self.places, self.colours], self._shown, config.rate
        )

    def step(self, sharpness: float) -> None:
        """One step of places and patterns, with the places at this sharpness."""
        self.sharpness = sharpness
        self._ascend()

    @torch.no_grad()
    def best(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the region that leads for each class: mask (g, 1, *mask shape) and pattern logits."""
        places = functional.one_hot(self._logits().argmax(1), self.places.shape[1]).float()
        masks = self._mask(places)
        reached = mean_margins(self.ground, self.rows, _laid(self.ground, masks, self.colours))
        regions = len(self.allowed)
        first = reached.reshape(-1, regions).argmax(1)
        rows = first + regions * torch.arange(len(first), device=first.device)
        return masks[rows], self.colours[rows].detach()

    def _raw(self, start: torch.Tensor) -> torch.Tensor:
        copies = start.to(self.ground.images.device).expand(len(self.rows), *start.shape)
        return copies.clone().requires_grad_()

    def _shown(self) -> torch.Tensor:
        mask = self._mask((self.sharpness * self._logits()).softmax(1))
        return _laid(self.ground, mask, self.colours)

    def _logits(self) -> torch.Tensor:
        """Logits of the places (g·R, places), −∞ outside each row's region."""
        outside = ~self.allowed.repeat(len(self.rows) // len(self.allowed), 1)
        return self.places.masked_fill(outside, -torch.inf)

    def _mask(self, weights: torch.Tensor) -> torch.Tensor:
        """The squares (g·R, 1, *mask shape) of all places, weighted and added up."""
        spread = weights.reshape(-1, 1, *self.sizes)
        added = functional.conv_transpose2d(spread, self.square).clamp(max=1)
        return added.reshape(len(weights), 1, *self.mask_shape)


class _Patch:
    """The patches of one group of classes at their places: only the patterns still move."""

    def __init__(
        self,
        ground: Canvas,
        group: torch.Tensor,
        mask: torch.Tensor,
        colours: torch.Tensor,
        rate: float,
    ) -> None:
        self.ground, self.group, self.mask = ground, group, mask
        self.colours = colours.clone().requires_grad_()
        self.step = ascend(ground, group, [self.colours], self._shown, rate)

    @torch.no_grad()
    def reached(self) -> torch.Tensor:
        """The mean margin (g,) over the samples of other classes, in logits."""
        return mean_margins(self.ground, self.group, self._shown())

    @torch.no_grad()
    def of(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask and pattern of one class of the group."""
        return self.mask[row, 0], self.ground.values(torch.sigmoid(self.colours))[row, 0]

    def _shown(self) -> torch.Tensor:
        return _laid(self.ground, self.mask, self.colours)


def _laid(ground: Canvas, mask: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Every patch on every sample: (rows, B, *input shape)."""
    return (1 - mask) * ground.images + mask * ground.values(torch.sigmoid(colours))


def _square(height: int, width: int, side: float, device: torch.device) -> torch.Tensor:
    """Ones in the shape of the square; for inputs that are no image, a stretch of equal share."""
    if height == 1:
        return torch.ones(1, 1, 1, max(1, round(side * side * width)), device=device)
    size = max(1, round(side * min(height, width)))
    return torch.ones(1, 1, size, size, device=device)


def _regions(sizes: tuple[int, int], count: int) -> torch.Tensor:
    """Which places (R, places) belong to each region that has any."""
    along = [torch.arange(size) * count // size for size in sizes]
    region = (along[0][:, None] * count + along[1]).flatten()
    belongs: torch.Tensor = region == torch.unique(region)[:, None]
    return belongs
