"""A patch per class: one small square, anywhere in the image, that carries every image to a class.

For every class t at once, over clean samples x of other classes, with M a square of fixed size,

    max over place and p of   mean margin_t(f((1 − M)·x + M·p)).

The place is found in groups of squares, then among the squares of the leading groups
(`square_phases.py`), until one is kept and its pattern p goes on alone.
A clean net has no place where so small a square decides for every image, so its classes lie close
together here, where the free masks of Neural Cleanse follow the strokes of what they imitate.
Source: Neural Cleanse (S&P 2019) for a mask and a pattern per class; the fixed square, how its
place is found, the margin and the single batch are ours (docs/method.md).
"""

from __future__ import annotations

from stages.later import torch
from stages.searches import margins
from stages.searches.blocks import State, advanced
from stages.searches.probe import probes
from stages.searches.search import Effort, SearchResult, StatisticSpec, Subject, most
from stages.searches.square_phases import (
    SquareConfig,
    SquareGround,
    SquarePhases,
    ground_of_phases,
)
from stages.searches.squares import Squares
from stages.searches.success import attack_success
from stages.searches.trigger import Patch
from stages.settings import (
    Pixels,
    Places,
    PositiveShare,
    Rate,
    Samples,
    Steps,
    settings,
    unchecked,
)
from stages.types import Floats


@settings
class SampledSquareConfig(SquareConfig):
    """Settings of a square, and how many samples it is searched on."""

    first_samples: Samples = 4
    """Clean samples, balanced over the classes, that groups of squares are laid on."""
    place_samples: Samples = 10
    """Clean samples, balanced over the classes, that the squares that go on are laid on."""
    samples: Samples = 20
    """Clean samples, balanced over the classes, that the patch at its place is laid on."""
    evaluation_samples: Samples = 40
    """Clean samples, those of the search among them, that the patches found are evaluated on."""

    @property
    def steps(self) -> int:
        """All steps of one class."""
        return self.square_steps


@settings
class PatchConfig(SampledSquareConfig):
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


SquareState = State[SampledSquareConfig, SquareGround]


class PatchSearch:
    """The search for a patch. Its blocks are those of `square_phases.SquarePhases`."""

    name = "patch"
    version = 9
    settings: type[SampledSquareConfig] = PatchConfig
    joint = False
    early_after = 4
    statistics = (
        StatisticSpec(
            name="standardised_margin",
            unit="standard deviations",
            meaning="one small patch carries images of other classes to the class, all alike",
        ),
    )

    def start(self, subject: Subject, config: SampledSquareConfig, seed: int) -> SquareState:
        """A search of which no class has begun."""
        counts = (
            config.first_samples,
            config.place_samples,
            config.samples,
            config.evaluation_samples,
        )
        groups, places, patterns, evaluation = probes(subject, counts, seed, config.memory_mb)
        phases = SquarePhases(
            config=config, groups=groups, places=places, patterns=patterns, seed=seed
        )
        ground = ground_of_phases(subject, phases, evaluation)
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=ground)

    def at_once(self, state: SquareState) -> int:
        """How many classes fit into the memory at once."""
        return state.ground.probe.rows

    def advance(self, state: SquareState, classes: torch.Tensor, steps: int) -> SquareState:
        """The state after up to `steps` more Adam steps of the classes (n,)."""
        phases = state.ground.phases
        return advanced(state, classes, steps, self.at_once(state), phases.begun, phases.climbed)

    def reached(self, state: SquareState) -> Floats:
        """The mean margin (K,) in logits of the best group or square of each class."""
        return state.per_class([state.ground.phases.reached(each) for each in state.blocks])

    def effort(self, state: SquareState) -> Effort:
        """Steps, and images: every row of a class is laid on every image."""
        shown = state.ground.phases.images
        images = sum(shown(block.step) * len(block.classes) for block in state.blocks)
        return Effort(steps=state.steps, images=images)

    def result(self, state: SquareState) -> SearchResult:
        """Standardised margins, and the patch that leads."""
        ground = state.ground
        settled = [ground.phases.settled(block) for block in state.blocks]
        certain = [
            margins.evaluated(ground.evaluation, ground.gap, each.rows, each.shown)[1]
            for each in settled
        ]
        values = state.per_class(certain)
        target = most(values)
        trigger = _patch(settled, target)
        searched = len(ground.probe.images)
        return SearchResult(
            statistics={"standardised_margin": values},
            targets=(target,),
            trigger=trigger,
            success=attack_success(ground.subject, trigger, target, searched, state.seed),
            effort=self.effort(state),
        )


def _patch(settled: list[Squares], target: int) -> Patch:
    """The patch of a class."""
    for squares in settled:
        rows = (squares.rows == target).nonzero()
        if len(rows):
            return squares.patch(int(rows[0]))
    raise KeyError(target)


@settings
class SmallPatchConfig(SampledSquareConfig):
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
    version = 5
    early_after = 6
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
