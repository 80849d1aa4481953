"""A patch per class: one small square, anywhere in the image, that carries every image to a class.

For every class t at once, over clean samples x of other classes, with M a square of fixed size,

    max over place and p of   mean margin_t(f((1 − M)·x + M·p)).

The place is found by attention, in every region of the image apart (`squares.py`): it starts even
and is sharpened until a single place is left. Regions that lag are given up on the way; of the
squares that are left the one that leads is kept, and its pattern p goes on alone.
A clean net has no place where so small a square decides for every image, so its classes lie close
together here, where the free masks of Neural Cleanse follow the strokes of what they imitate.
Source: Neural Cleanse (S&P 2019) for a mask and a pattern per class; the fixed square, the
attention over its places, the margin and the single batch are ours (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

from stages import image_layout
from stages.later import torch, without_gradients
from stages.searches import margins
from stages.searches.blocks import Block, State, advanced
from stages.searches.probe import Probe, probes
from stages.searches.search import Effort, SearchResult, StatisticSpec, Subject, most
from stages.searches.squares import Squares, everywhere
from stages.searches.success import attack_success
from stages.searches.trigger import Patch
from stages.settings import (
    Cells,
    Memory,
    Pixels,
    Places,
    PositiveShare,
    Rate,
    Samples,
    Steps,
    bounded,
    settings,
    unchecked,
)
from stages.types import Floats, unkeyed


@settings
class SquareConfig:
    """Settings of a square that is searched for its place and its pattern."""

    side: PositiveShare = 0.25
    """Side of the square as a share of the image's."""
    least: Pixels = 1
    """Side of the square in pixels at least."""
    regions: Places = 3
    """Regions along each side, each with a square of its own until the best one is kept."""
    kept: Places = 3
    """Regions per class that go on after the first steps."""
    place_samples: Samples = 10
    """Clean samples, balanced over the classes, that squares are laid on to find their place."""
    first_steps: Steps = 3
    """Adam steps of place and pattern in every region."""
    place_steps: Steps = 5
    """Adam steps of place and pattern in the regions that go on."""
    samples: Samples = 20
    """Clean samples, balanced over the classes, that the patch at its place is laid on."""
    evaluation_samples: Samples = 40
    """Clean samples, those of the search among them, that the patches found are evaluated on."""
    pattern_steps: Steps = 7
    """Adam steps of the pattern at the place that was found."""
    detail: Cells = 48
    """Squares of one colour each along the image's shorter side, of which a pattern consists at
    most: so many as the largest images have pixels that the calibration was measured on.
    """
    rate: Rate = 0.3
    """Adam's learning rate for the logits of place and pattern."""
    sharpest: Annotated[float, bounded(ge=1, le=1000)] = 12.0
    """Factor on the logits of the places at the last step; it grows from 1 geometrically."""
    memory_mb: Memory = unkeyed(2048)
    """Activations that may be held at once, in MiB; more squares are laid in parts."""

    @property
    def settled_at(self) -> int:
        """The step from which only the pattern moves."""
        return self.first_steps + self.place_steps

    @property
    def steps(self) -> int:
        """All steps of one class."""
        return self.settled_at + self.pattern_steps


@settings
class PatchConfig(SquareConfig):
    """Settings of the patch."""

    brief_samples: Samples = 6
    """Clean samples of the brief search, where there are many classes."""
    brief_regions: Places = 1
    """Regions along each side in the brief search."""
    brief_steps: Steps = 2
    """Adam steps of the brief search."""

    @property
    def brief(self) -> PatchConfig:
        """The settings of the brief search."""
        return unchecked(
            self,
            regions=self.brief_regions,
            kept=1,
            place_samples=self.brief_samples,
            samples=self.brief_samples,
            evaluation_samples=self.brief_samples,
            first_steps=self.brief_steps,
            place_steps=0,
            pattern_steps=0,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ground:
    """What places and patterns are searched on, what they are evaluated on, and the logit gap."""

    subject: Subject
    places: Probe
    patterns: Probe
    evaluation: Probe
    gap: float


SquareState = State[SquareConfig, _Ground]


class PatchSearch:
    """The search for a patch. A block holds what `squares.Squares` are made of, with as many rows
    (g, r, …) for each class as it has squares left.
    """

    name = "patch"
    version = 7
    settings: type[SquareConfig] = PatchConfig
    joint = False
    statistics = (
        StatisticSpec(
            name="standardised_margin",
            unit="standard deviations",
            meaning="one small patch carries images of other classes to the class, all alike",
        ),
    )

    def start(self, subject: Subject, config: SquareConfig, seed: int) -> SquareState:
        """A search of which no class has begun."""
        counts = (config.place_samples, config.samples, config.evaluation_samples)
        places, patterns, evaluation = probes(subject, counts, seed, config.memory_mb)
        ground = _Ground(
            subject=subject,
            places=places,
            patterns=patterns,
            evaluation=evaluation,
            gap=margins.logit_gap(subject.clean.logits),
        )
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=ground)

    def at_once(self, state: SquareState) -> int:
        """How many classes fit into the memory at once."""
        return state.ground.patterns.rows

    def advance(self, state: SquareState, classes: torch.Tensor, steps: int) -> SquareState:
        """The state after up to `steps` more Adam steps of the classes (n,)."""

        def begin(group: torch.Tensor) -> Block:
            return _narrowed(state, _block(group, 0, _begun(state, group)))

        return advanced(state, classes, steps, self.at_once(state), begin, partial(_climb, state))

    def reached(self, state: SquareState) -> Floats:
        """The mean margin (K,) in logits of the best square of each class, at its place."""
        return state.per_class([_reached(state, each) for each in state.blocks])

    def effort(self, state: SquareState) -> Effort:
        """Steps, and images: every square of a class is laid on every image."""
        config, ground = state.config, state.ground
        regions, images = _beginning(state), 0
        for block in state.blocks:
            for step in range(block.step):
                squares = regions if step < config.first_steps else min(config.kept, regions)
                shown = squares * len(ground.places.images)
                if step >= config.settled_at:
                    shown = len(ground.patterns.images)
                images += shown * len(block.classes)
        return Effort(steps=state.steps, images=images)

    def result(self, state: SquareState) -> SearchResult:
        """Standardised margins, and the patch that leads."""
        ground = state.ground
        settled = [_settled(state, block) for block in state.blocks]
        certain = [
            margins.evaluated(ground.evaluation, ground.gap, each.rows, each.shown)[1]
            for each in settled
        ]
        values = state.per_class(certain)
        target = most(values)
        trigger = _patch(settled, target)
        searched = len(ground.patterns.images)
        return SearchResult(
            statistics={"standardised_margin": values},
            targets=(target,),
            trigger=trigger,
            success=attack_success(ground.subject, trigger, target, searched, state.seed),
            effort=self.effort(state),
        )


def _climb(state: SquareState, block: Block, steps: int, step_done: Callable[[], None]) -> Block:
    """Steps in every region first, then in fewer, then of the pattern alone."""
    config = state.config
    last = min(block.step + steps, config.steps)
    while block.step < last:
        begun, end = _phase(config, block.step)
        until = min(end, last)
        sharpness = _sharpness(config)[block.step : until]
        squares = _squares(state, block).climbed(
            sharpness, block.step - begun, config.rate, step_done
        )
        block = _narrowed(state, _block(block.classes, until, squares))
    return block


def _phase(config: SquareConfig, step: int) -> tuple[int, int]:
    """The first step of the phase that a step is in, and the first of the next one."""
    ends = (0, config.first_steps, config.settled_at, config.steps)
    return max(end for end in ends if end <= step), min(end for end in ends if end > step)


def _sharpness(config: SquareConfig) -> list[float]:
    """Factors on the logits of the places, step by step: from 1 on, each as much above the last."""
    last = max(config.settled_at - 1, 1)
    growing = [config.sharpest ** (step / last) for step in range(config.settled_at)]
    return growing + [1.0] * config.pattern_steps


def _narrowed(state: SquareState, block: Block) -> Block:
    """The block with the squares that go on from its step."""
    config, step = state.config, block.step
    if step not in (config.first_steps, config.settled_at):
        return block
    squares = replace(_squares(state, block), probe=state.ground.places)
    if step == config.first_steps:
        squares = squares.leading(config.kept)
    if step == config.settled_at:
        squares = squares.leading(1).settled()
    return _block(block.classes, step, squares.without_moments())


def _reached(state: SquareState, block: Block) -> torch.Tensor:
    """The mean margin (g,) in logits of the best square of each class, at its place."""
    reached = _squares(state, block).reached()
    return reached.reshape(len(block.classes), -1).amax(1)


def _settled(state: SquareState, block: Block) -> Squares:
    """The best square of each class, at its place."""
    return _squares(state, block).leading(1).settled()


def _squares(state: SquareState, block: Block) -> Squares:
    """The squares of a block, on what they are searched on at its step."""
    ground = state.ground
    probe = ground.patterns if block.step >= state.config.settled_at else ground.places
    flat = {name: each.flatten(0, 1) for name, each in block.tensors.items()}
    each = len(flat["colours"]) // len(block.classes)
    rows = block.classes.repeat_interleave(each)
    return Squares(
        probe=probe, side=_side(state), detail=state.config.detail, rows=rows, tensors=flat
    )


def _block(classes: torch.Tensor, step: int, squares: Squares) -> Block:
    each = len(squares.rows) // len(classes)
    tensors = {
        name: tensor.reshape(len(classes), each, *tensor.shape[1:])
        for name, tensor in squares.tensors.items()
    }
    return Block(classes=classes, step=step, tensors=tensors)


@without_gradients
def _patch(settled: list[Squares], target: int) -> Patch:
    """The patch of a class."""
    for squares in settled:
        rows = (squares.rows == target).nonzero()
        if len(rows):
            mask, colours = squares.laid()
            row = int(rows[0])
            return Patch(mask=mask[row, 0].cpu().numpy(), colours=colours[row, 0].cpu().numpy())
    raise KeyError(target)


def _beginning(state: SquareState) -> int:
    """How many squares a class begins with."""
    return len(_begun(state, torch.zeros(1, dtype=torch.int64)).rows)


def _begun(state: SquareState, classes: torch.Tensor) -> Squares:
    """The squares that classes (n,) begin with: one in each region."""
    places, config = state.ground.places, state.config
    return everywhere(places, classes, _side(state), config.detail, config.regions, state.seed)


def _side(state: SquareState) -> float:
    """Side of the square as a share of the image's; a vector counts as a square of its size."""
    height, width = image_layout.plane(state.ground.subject.samples.images.shape[1:])
    side = min(height, width) if min(height, width) > 1 else (height * width) ** 0.5
    return max(state.config.side, min(1.0, state.config.least / side))


@settings
class SmallPatchConfig(SquareConfig):
    """Settings of the small patch: half the side, and more steps to find it."""

    side: PositiveShare = 0.125
    """Side of the square as a share of the image's."""
    least: Pixels = 3
    """Side of the square in pixels at least."""
    first_steps: Steps = 6
    """Adam steps of place and pattern in every region."""
    place_steps: Steps = 10
    """Adam steps of place and pattern in the regions that go on."""
    pattern_steps: Steps = 14
    """Adam steps of the pattern at the place that was found."""

    @property
    def brief(self) -> None:
        """None: whatever a small square carries, the look with the larger one sees."""


class SmallPatchSearch(PatchSearch):
    """The search for a patch of half the side. A natural favourite needs area to carry images; a
    planted one only needs to be found.
    """

    name = "small_patch"
    version = 3
    settings = SmallPatchConfig
    statistics = (
        StatisticSpec(
            name="standardised_margin",
            unit="standard deviations",
            meaning="one patch of half that side carries images of other classes there, all alike",
        ),
    )


patch = PatchSearch()
small_patch = SmallPatchSearch()
