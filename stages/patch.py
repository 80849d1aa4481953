"""A patch per class: one small square, anywhere in the image, that carries every image to a class.

For every class t at once, over clean samples x of other classes, with M a square of fixed size,

    max over place and p of   mean margin_t(f((1 − M)·x + M·p)).

The place is found by attention, in every region of the image apart: a softmax over the region's
places, whose squares add up to M, starts even and is sharpened until a single place is left.
Regions that lag are given up on the way; of the squares that are left the one that leads is kept,
and its pattern p goes on alone.
A clean net has no place where so small a square decides for every image, so its classes lie close
together here, where the free masks of Neural Cleanse follow the strokes of what they imitate.
Source: Neural Cleanse (S&P 2019) for a mask and a pattern per class; the fixed square, the
attention over its places, the margin and the single batch are ours (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.nn import functional

from stages import pixels, progress, targets
from stages.ascent import ascend
from stages.canvas import Canvas, canvases
from stages.measure import Measure, mean_margins, mean_measure, sureness_measure
from stages.screen import ScreenConfig, screen
from stages.stage import stage
from stages.types import CleanSamples, PatchResult, PreconditionResult, TorchTwin


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """Settings of the patch."""

    side: float = 0.25
    """Side of the square as a share of the image's."""
    regions: int = 3
    """Regions along each side, each with a square of its own until the best one is kept."""
    kept: int = 3
    """Regions per class that go on after the first steps."""
    place_samples: int = 10
    """Clean samples, balanced over the classes, that squares are laid on to find their place."""
    first_steps: int = 3
    """Adam steps of place and pattern in every region."""
    place_steps: int = 5
    """Adam steps of place and pattern in the regions that go on."""
    samples: int = 20
    """Clean samples, balanced over the classes, that the patch at its place is laid on."""
    judged_samples: int = 40
    """Clean samples, those of the search among them, that the patches found are judged on."""
    pattern_steps: int = 7
    """Adam steps of the pattern at the place that was found."""
    rate: float = 0.3
    """Adam's learning rate for the logits of place and pattern."""
    sharpest: float = 12.0
    """Factor on the logits of the places at the last step; it grows from 1 geometrically."""
    brief_samples: int = 3
    """Clean samples of the brief search, where there are many classes."""
    brief_regions: int = 2
    """Regions along each side in the brief search."""
    brief_steps: int = 2
    """Adam steps of the brief search."""
    memory_mb: int = 512
    """Activations that may be held at once, in MiB; more squares are laid in parts."""

    @property
    def brief(self) -> PatchConfig:
        """The settings of the brief search."""
        return replace(
            self,
            regions=self.brief_regions,
            kept=1,
            place_samples=self.brief_samples,
            samples=self.brief_samples,
            first_steps=self.brief_steps,
            place_steps=0,
            pattern_steps=0,
        )

    @property
    def steps(self) -> int:
        """Steps for one group of classes."""
        return self.first_steps + self.place_steps + self.pattern_steps


@stage(version=4)
def find_patch(
    twin: TorchTwin,
    samples: CleanSamples,
    clean: PreconditionResult,
    config: PatchConfig,
    screening: ScreenConfig,
    seed: int,
) -> PatchResult:
    """How far the best patch of every class carries samples of other classes.

    Deterministic for a given seed, which draws the samples and the start. The twin is left as it
    was found.
    """
    counts = (config.brief_samples, config.place_samples, config.samples, config.judged_samples)
    few, scouts, ground, judging = canvases(twin, samples, clean, counts, seed)

    def brief(classes: torch.Tensor) -> torch.Tensor:
        return _climbed(few, few, mean_measure(few), classes, config.brief, seed).margins

    screened = screen(twin, brief, screening, seed)
    measure = sureness_measure(judging, clean)
    found = _climbed(scouts, ground, measure, screened.chosen, config, seed)
    leading = int(found.margins.argmax())
    return PatchResult(
        margins=screened.of_all(found.margins).cpu().numpy(),
        leading=int(screened.chosen[leading]),
        mask=found.masks[leading].cpu().numpy(),
        pattern=found.patterns[leading].cpu().numpy(),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """What is told (n,) of the patches, masks (n, *mask shape), patterns (n, *input shape)."""

    margins: torch.Tensor
    masks: torch.Tensor
    patterns: torch.Tensor


def _climbed(
    scouts: Canvas,
    ground: Canvas,
    measure: Measure,
    classes: torch.Tensor,
    config: PatchConfig,
    seed: int,
) -> _Found:
    """The best square of every class (n,): its place is found on `scouts`, its pattern ends on
    `ground`.
    """
    groups = targets.groups(ground.twin, ground.images, classes, config.memory_mb)
    step_done = progress.counter(len(groups) * config.steps)
    margins, masks, patterns = [], [], []
    for group in groups:
        squares = _search(scouts, ground, group, config, seed, step_done)
        margins.append(measure(squares.rows, squares.settled().shown))
        mask, pattern = squares.laid()
        masks.append(mask[:, 0])
        patterns.append(pattern[:, 0])
    return _Found(margins=torch.cat(margins), masks=torch.cat(masks), patterns=torch.cat(patterns))


def _search(
    scouts: Canvas,
    ground: Canvas,
    group: torch.Tensor,
    config: PatchConfig,
    seed: int,
    step_done: Callable[[], None],
) -> _Squares:
    """One square for every class of a group: in every region first, then in fewer, then at rest."""
    climb = partial(_Squares.climbed, config=config, step_done=step_done)
    sharpness = _sharpened(config.first_steps + config.place_steps, config.sharpest)
    squares = _everywhere(scouts, group, config, seed)
    squares = climb(squares, sharpness[: config.first_steps])
    squares = squares.leading(config.kept, config.memory_mb)
    squares = climb(squares, sharpness[config.first_steps :])
    squares = squares.leading(1, config.memory_mb).settled().on(ground)
    return climb(squares, [1.0] * config.pattern_steps)


def _sharpened(steps: int, sharpest: float) -> list[float]:
    """Factors on the logits of the places, from 1 on, so that each is as much above the last."""
    last = max(steps - 1, 1)
    return [sharpest ** (step / last) for step in range(steps)]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Squares:
    """Squares of one size that are laid on a canvas, one per row, each aiming at a class.

    `square` (1, 1, side, side) is its shape, `rows` (r,) the classes; of the `places` (r, P), which
    are logits, only those `allowed` (r, P) count; `colours` (r, 1, *input shape) are the logits of
    the patterns. Rows of the same class follow each other, as many for each.
    """

    ground: Canvas
    square: torch.Tensor
    rows: torch.Tensor
    allowed: torch.Tensor
    places: torch.Tensor
    colours: torch.Tensor

    def climbed(
        self, sharpness: list[float], config: PatchConfig, step_done: Callable[[], None]
    ) -> _Squares:
        """After a step of places and patterns for each factor on the logits of the places."""
        parts = self._parts(config.memory_mb)
        steps = [part._ascent(config.rate) for part in parts]
        for factor in sharpness:
            for step in steps:
                step(factor)
            step_done()
        return replace(
            self,
            places=torch.cat([part.places.detach() for part in parts]),
            colours=torch.cat([part.colours.detach() for part in parts]),
        )

    @torch.no_grad()
    def reached(self, memory_mb: int) -> torch.Tensor:
        """The mean margin (r,) over the samples of other classes, in logits, at settled places."""
        parts = self.settled()._parts(memory_mb)
        images = self.ground.images
        return torch.cat(
            [mean_margins(self.ground, each.rows, each.shown(images)) for each in parts]
        )

    def leading(self, count: int, memory_mb: int) -> _Squares:
        """Of every class the `count` rows that reach furthest."""
        classes = len(torch.unique(self.rows))
        each = len(self.rows) // classes
        if each <= count:
            return self
        best = self.reached(memory_mb).reshape(classes, each).topk(count, dim=1).indices
        first = each * torch.arange(classes, device=best.device)[:, None]
        return self._only((best + first).flatten())

    def settled(self) -> _Squares:
        """The same with only the strongest place of each row allowed."""
        strongest = functional.one_hot(self._logits().argmax(1), self.places.shape[1])
        return replace(self, allowed=strongest.bool())

    def on(self, ground: Canvas) -> _Squares:
        """The same on another canvas."""
        return replace(self, ground=ground)

    @torch.no_grad()
    def laid(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The masks (r, 1, *mask shape) and patterns (r, 1, *input shape)."""
        return self._mask(1.0), self._pattern()

    def _ascent(self, rate: float) -> Callable[[float], None]:
        """A function that makes one step; only the patterns move where each place is settled."""
        moving = [self.colours.requires_grad_()]
        if bool((self.allowed.sum(1) > 1).any()):
            moving.append(self.places.requires_grad_())
        return ascend(self.ground, self.rows, moving, partial(self.shown, self.ground.images), rate)

    def _parts(self, memory_mb: int) -> list[_Squares]:
        """The rows in parts whose activations fit into the memory."""
        numbers = torch.arange(len(self.rows), device=self.rows.device)
        parts = targets.groups(self.ground.twin, self.ground.images, numbers, memory_mb)
        return [self._only(part) for part in parts]

    def _only(self, numbers: torch.Tensor) -> _Squares:
        return replace(
            self,
            rows=self.rows[numbers],
            allowed=self.allowed[numbers],
            places=self.places.detach()[numbers],
            colours=self.colours.detach()[numbers],
        )

    def shown(self, images: torch.Tensor, sharpness: float = 1.0) -> torch.Tensor:
        """Every square on every image (B, *input shape): (r, B, *input shape)."""
        mask = self._mask(sharpness)
        return (1 - mask) * images + mask * self._pattern()

    def _pattern(self) -> torch.Tensor:
        return self.ground.values(torch.sigmoid(self.colours))

    def _mask(self, sharpness: float) -> torch.Tensor:
        """The squares (r, 1, *mask shape) of all places, weighted and added up."""
        shape = tuple(self.ground.images.shape[1:])
        height, width = pixels.plane(shape)
        sizes = (height - self.square.shape[2] + 1, width - self.square.shape[3] + 1)
        weights = (sharpness * self._logits()).softmax(1)
        added = functional.conv_transpose2d(weights.reshape(-1, 1, *sizes), self.square)
        return added.clamp(max=1).reshape(len(weights), 1, *pixels.mask_shape(shape))

    def _logits(self) -> torch.Tensor:
        """Logits of the places (r, P), −∞ where they are not allowed."""
        return self.places.masked_fill(~self.allowed, -torch.inf)


def _everywhere(ground: Canvas, group: torch.Tensor, config: PatchConfig, seed: int) -> _Squares:
    """A square in every region for each class, all from the same start."""
    shape, device = tuple(ground.images.shape[1:]), ground.images.device
    height, width = pixels.plane(shape)
    square = _square(height, width, config.side, device)
    sizes = (height - square.shape[2] + 1, width - square.shape[3] + 1)
    allowed = _regions(sizes, config.regions).to(device)
    rows = group.repeat_interleave(len(allowed))
    generator = torch.Generator().manual_seed(seed)
    places = 0.01 * torch.randn(allowed.shape[1], generator=generator)
    colours = 0.1 * torch.randn(1, *shape, generator=generator)
    return _Squares(
        ground=ground,
        square=square,
        rows=rows,
        allowed=allowed.repeat(len(group), 1),
        places=places.to(device).repeat(len(rows), 1),
        colours=colours.to(device).repeat(len(rows), *[1] * colours.dim()),
    )


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
