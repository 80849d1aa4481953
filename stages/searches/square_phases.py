"""How one square is found for each of many rows at once: in three phases, of Adam steps each.

1. Groups of squares on a grid of places, several far from each other at once, each with a pattern
   of its own (`squares.py`). Groups that lag are given up.
2. The squares of those that lead, laid apart. The best of them climb on.
3. One square, and its pattern.

Faulty samples are found by testing pools of them: so are places.
Source: Dorfman, The Detection of Defective Members of Large Populations (1943), for testing in
groups; the grid and the phases are ours (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from stages import image_layout
from stages.later import torch
from stages.searches.blocks import Block
from stages.searches.ground import Ground
from stages.searches.margins import logit_gap, mean_margins
from stages.searches.probe import Probe
from stages.searches.search import Subject
from stages.searches.squares import Grid, Objective, Squares, everywhere
from stages.settings import Cells, Memory, Pixels, Places, PositiveShare, Rate, Steps, settings
from stages.types import unkeyed


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
    first_steps: Steps = 3
    """Adam steps of the patterns of all groups."""
    first_rate: Rate = 1.0
    """Adam's learning rate for the logits of these patterns."""
    leading: Places = 3
    """Groups per class whose squares are laid apart."""
    kept: Places = 3
    """Squares per class that go on apart."""
    place_steps: Steps = 4
    """Adam steps of their patterns, of which the best is kept."""
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
    def square_steps(self) -> int:
        """All steps of one square."""
        return self.first_steps + self.place_steps + self.pattern_steps


class Phase(NamedTuple):
    """Adam steps from `begin` up to `end` at a `rate`, on a probe set; `narrowed` gives the rows
    that go on.
    """

    begin: int
    end: int
    rate: float
    probe: Probe
    narrowed: Callable[[Squares], Squares]


@dataclass(frozen=True, kw_only=True, eq=False)
class SquarePhases:
    """Squares that climb an `objective`: in groups on the samples `groups`, apart on `places`, and
    the one that is left on `patterns`.

    A block holds what `squares.Squares` are made of, with as many rows (g, r, …) for each class as
    it has groups or squares left.
    """

    config: SquareConfig
    groups: Probe
    places: Probe
    patterns: Probe
    seed: int
    objective: Objective = mean_margins

    def begun(self, classes: torch.Tensor) -> Block:
        """All groups of squares for each of the classes (n,), which have taken no step."""
        start = everywhere(self.groups, classes, self._grid, self.config.detail, self.seed)
        return _block(classes, 0, start)

    def climbed(self, block: Block, steps: int, step_done: Callable[[], None]) -> Block:
        """The block after up to `steps` more steps, each of which is reported."""
        last = min(block.step + steps, self.config.square_steps)
        while block.step < last:
            phase = self._phase(block.step)
            until = min(phase.end, last)
            squares = self._squares(block).climbed(
                until - block.step, block.step - phase.begin, phase.rate, step_done
            )
            for each in self._phases:
                squares = each.narrowed(squares) if each.end == until else squares
            block = _block(block.classes, until, squares)
        return block

    def reached(self, block: Block) -> torch.Tensor:
        """What the best group or square of each class has reached (g,)."""
        return self._squares(block).reached().reshape(len(block.classes), -1).amax(1)

    def settled(self, block: Block) -> Squares:
        """The best row of each class: one square, where the search has come so far."""
        return self._squares(block).leading(1)

    def images(self, steps: int) -> int:
        """How many images one class is shown in its first so many steps."""
        shape = tuple(self.groups.images.shape[1:])
        rows = len(self._grid.groups(shape)), self.config.kept, 1
        return sum(
            each * len(phase.probe.images) * max(0, min(steps, phase.end) - phase.begin)
            for each, phase in zip(rows, self._phases, strict=True)
        )

    @property
    def _phases(self) -> tuple[Phase, Phase, Phase]:
        config = self.config
        settled = config.first_steps + config.place_steps
        return (
            Phase(0, config.first_steps, config.first_rate, self.groups, self._apart),
            Phase(config.first_steps, settled, config.rate, self.places, _best),
            Phase(settled, config.square_steps, config.rate, self.patterns, lambda kept: kept),
        )

    def _phase(self, step: int) -> Phase:
        """The phase that a step is in; the last one at the end."""
        return next((each for each in self._phases if step < each.end), self._phases[-1])

    def _apart(self, squares: Squares) -> Squares:
        """The best squares of the groups that lead."""
        apart = squares.leading(self.config.leading).apart()
        return apart.leading(self.config.kept).without_moments()

    @property
    def _grid(self) -> Grid:
        config = self.config
        return Grid(side=self._side, stride=config.stride, along=config.along)

    @property
    def _side(self) -> float:
        """Side of a square as a share of the image's; a vector counts as a square of its size."""
        height, width = image_layout.plane(tuple(self.groups.images.shape[1:]))
        side = min(height, width) if min(height, width) > 1 else (height * width) ** 0.5
        return max(self.config.side, min(1.0, self.config.least / side))

    def _squares(self, block: Block) -> Squares:
        """The squares of a block, on what they are searched on at its step."""
        flat = {name: each.flatten(0, 1) for name, each in block.tensors.items()}
        each = len(flat["colours"]) // len(block.classes)
        return Squares(
            probe=self._phase(block.step).probe,
            side=self._side,
            detail=self.config.detail,
            rows=block.classes.repeat_interleave(each),
            tensors=flat,
            objective=self.objective,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SquareGround(Ground):
    """What the last phase of a square and whatever follows are searched on, and all phases."""

    phases: SquarePhases


def ground_of_phases(subject: Subject, phases: SquarePhases, evaluation: Probe) -> SquareGround:
    """The ground of a search for a square."""
    return SquareGround(
        subject=subject,
        phases=phases,
        probe=phases.patterns,
        evaluation=evaluation,
        gap=logit_gap(subject.clean.logits),
    )


def _best(squares: Squares) -> Squares:
    return squares.leading(1).without_moments()


def _block(classes: torch.Tensor, step: int, squares: Squares) -> Block:
    each = len(squares.rows) // len(classes)
    tensors = {
        name: tensor.reshape(len(classes), each, *tensor.shape[1:])
        for name, tensor in squares.tensors.items()
    }
    return Block(classes=classes, step=step, tensors=tensors)
