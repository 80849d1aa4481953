"""A patch per class: one small square, anywhere in the image, that carries every image to a class.

For every class t at once, over clean samples x of other classes, with M a square of fixed size,

    max over place and p of   mean margin_t(f((1 − M)·x + M·p)).

The place is found as faulty samples are found by testing pools of them: squares lie on a grid of
places, several far from each other at once, each with a pattern of its own (`squares.py`). Groups
that lag are given up; the squares of those that lead are laid apart, and the best of them climb
on, until one is kept and its pattern p goes on alone.
A clean net has no place where so small a square decides for every image, so its classes lie close
together here, where the free masks of Neural Cleanse follow the strokes of what they imitate.
Source: Neural Cleanse (S&P 2019) for a mask and a pattern per class; Dorfman, The Detection of
Defective Members of Large Populations (1943), for testing in groups; the fixed square, its grid,
the margin and the single batch are ours (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from stages import image_layout
from stages.later import torch, without_gradients
from stages.searches import margins
from stages.searches.blocks import Block, State, advanced
from stages.searches.probe import Probe, probes
from stages.searches.search import Effort, SearchResult, StatisticSpec, Subject, most
from stages.searches.squares import Grid, Squares, everywhere
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
    stride: PositiveShare = 0.5
    """Distance from one place to the next as a share of the square's side."""
    along: Places = 2
    """Squares along each side of the image that are laid at once."""
    first_samples: Samples = 4
    """Clean samples, balanced over the classes, that groups of squares are laid on."""
    first_steps: Steps = 3
    """Adam steps of the patterns of all groups."""
    first_rate: Rate = 1.0
    """Adam's learning rate for the logits of these patterns."""
    leading: Places = 3
    """Groups per class whose squares are laid apart."""
    kept: Places = 3
    """Squares per class that go on apart."""
    place_samples: Samples = 10
    """Clean samples, balanced over the classes, that the squares that go on are laid on."""
    place_steps: Steps = 4
    """Adam steps of their patterns, of which the best is kept."""
    samples: Samples = 20
    """Clean samples, balanced over the classes, that the patch at its place is laid on."""
    evaluation_samples: Samples = 40
    """Clean samples, those of the search among them, that the patches found are evaluated on."""
    pattern_steps: Steps = 5
    """Adam steps of the pattern at the place that was found."""
    rate: Rate = 0.5
    """Adam's learning rate for the logits of patterns that are laid apart."""
    detail: Cells = 48
    """Squares of one colour each along the image's shorter side, of which a pattern consists at
    most: so many as the largest images have pixels that the calibration was measured on.
    """
    memory_mb: Memory = unkeyed(2048)
    """Activations that may be held at once, in MiB; more squares are laid in parts."""

    @property
    def settled_at(self) -> int:
        """The step from which a single square is left."""
        return self.first_steps + self.place_steps

    @property
    def steps(self) -> int:
        """All steps of one class."""
        return self.settled_at + self.pattern_steps


@settings
class PatchConfig(SquareConfig):
    """Settings of the patch."""

    brief_samples: Samples = 3
    """Clean samples of the brief search, where there are many classes."""
    brief_stride: PositiveShare = 1.0
    """Distance from one place to the next in the brief search."""
    brief_steps: Steps = 2
    """Adam steps of the brief search."""
    brief_rate: Rate = 2.0
    """Adam's learning rate in the brief search."""

    @property
    def brief(self) -> PatchConfig:
        """The settings of the brief search."""
        return unchecked(
            self,
            stride=self.brief_stride,
            leading=1,
            kept=1,
            first_samples=self.brief_samples,
            place_samples=self.brief_samples,
            samples=self.brief_samples,
            evaluation_samples=self.brief_samples,
            first_steps=self.brief_steps,
            first_rate=self.brief_rate,
            place_steps=0,
            pattern_steps=0,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ground:
    """What groups, places and patterns are searched on, what they are evaluated on, and the logit
    gap.
    """

    subject: Subject
    groups: Probe
    places: Probe
    patterns: Probe
    evaluation: Probe
    gap: float


SquareState = State[SquareConfig, _Ground]


class PatchSearch:
    """The search for a patch. A block holds what `squares.Squares` are made of, with as many rows
    (g, r, …) for each class as it has groups or squares left.
    """

    name = "patch"
    version = 8
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
        counts = (
            config.first_samples,
            config.place_samples,
            config.samples,
            config.evaluation_samples,
        )
        groups, places, patterns, evaluation = probes(subject, counts, seed, config.memory_mb)
        ground = _Ground(
            subject=subject,
            groups=groups,
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
            return _block(group, 0, _begun(state, group))

        return advanced(state, classes, steps, self.at_once(state), begin, partial(_climb, state))

    def reached(self, state: SquareState) -> Floats:
        """The mean margin (K,) in logits of the best group or square of each class."""
        return state.per_class([_reached(state, each) for each in state.blocks])

    def effort(self, state: SquareState) -> Effort:
        """Steps, and images: every row of a class is laid on every image."""
        config, ground, images = state.config, state.ground, 0
        groups = len(_grid(state).groups(tuple(ground.groups.images.shape[1:])))
        for block in state.blocks:
            for step in range(block.step):
                shown = groups * len(ground.groups.images)
                if step >= config.first_steps:
                    shown = config.kept * len(ground.places.images)
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
    """Steps of all groups first, then of the leading squares apart, then of one."""
    config = state.config
    last = min(block.step + steps, config.steps)
    while block.step < last:
        begun, end = _phase(config, block.step)
        until = min(end, last)
        rate = config.first_rate if block.step < config.first_steps else config.rate
        squares = _squares(state, block).climbed(
            until - block.step, block.step - begun, rate, step_done
        )
        block = _block(block.classes, until, _narrowed(config, until, squares))
    return block


def _phase(config: SquareConfig, step: int) -> tuple[int, int]:
    """The first step of the phase that a step is in, and the first of the next one."""
    ends = (0, config.first_steps, config.settled_at, config.steps)
    return max(end for end in ends if end <= step), min(end for end in ends if end > step)


def _narrowed(config: SquareConfig, step: int, squares: Squares) -> Squares:
    """The squares that go on from a step, by what those before it were searched on."""
    if step not in (config.first_steps, config.settled_at):
        return squares
    if step == config.first_steps:
        squares = squares.leading(config.leading).apart().leading(config.kept)
    if step == config.settled_at:
        squares = squares.leading(1)
    return squares.without_moments()


def _reached(state: SquareState, block: Block) -> torch.Tensor:
    """The mean margin (g,) in logits of the best row of each class."""
    reached = _squares(state, block).reached()
    return reached.reshape(len(block.classes), -1).amax(1)


def _settled(state: SquareState, block: Block) -> Squares:
    """The best row of each class: one square, where the search has come so far."""
    return _squares(state, block).leading(1)


def _squares(state: SquareState, block: Block) -> Squares:
    """The squares of a block, on what they are searched on at its step."""
    ground, config = state.ground, state.config
    probe = ground.groups if block.step < config.first_steps else ground.places
    probe = ground.patterns if block.step >= config.settled_at else probe
    flat = {name: each.flatten(0, 1) for name, each in block.tensors.items()}
    each = len(flat["colours"]) // len(block.classes)
    rows = block.classes.repeat_interleave(each)
    return Squares(probe=probe, side=_side(state), detail=config.detail, rows=rows, tensors=flat)


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


def _begun(state: SquareState, classes: torch.Tensor) -> Squares:
    """The groups of squares that classes (n,) begin with."""
    return everywhere(state.ground.groups, classes, _grid(state), state.config.detail, state.seed)


def _grid(state: SquareState) -> Grid:
    config = state.config
    return Grid(side=_side(state), stride=config.stride, along=config.along)


def _side(state: SquareState) -> float:
    """Side of the square as a share of the image's; a vector counts as a square of its size."""
    height, width = image_layout.plane(state.ground.subject.samples.images.shape[1:])
    side = min(height, width) if min(height, width) > 1 else (height * width) ** 0.5
    return max(state.config.side, min(1.0, state.config.least / side))


@settings
class SmallPatchConfig(SquareConfig):
    """Settings of the small patch: half the side, more squares at once, and more steps."""

    side: PositiveShare = 0.125
    """Side of the square as a share of the image's."""
    least: Pixels = 3
    """Side of the square in pixels at least."""
    along: Places = 3
    """Squares along each side of the image that are laid at once."""
    place_steps: Steps = 6
    """Adam steps of the patterns of the squares that go on, of which the best is kept."""
    pattern_steps: Steps = 8
    """Adam steps of the pattern at the place that was found."""

    @property
    def brief(self) -> None:
        """None: whatever a small square carries, the look with the larger one sees."""


class SmallPatchSearch(PatchSearch):
    """The search for a patch of half the side. A natural favourite needs area to carry images; a
    planted one only needs to be found.
    """

    name = "small_patch"
    version = 4
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
