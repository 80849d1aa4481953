"""One trigger that carries every class to a class of its own: all-to-all backdoors.

One patch p, searched for its place as that of one class is, and one faint pattern, on clean samples
of all classes. At every step, with M[s, j] the mean logit of class j over samples of source s under
the trigger,

    π = the assignment, π(s) ≠ s, with the largest Σ M[s, π(s)];   climb  mean margin_{π(y)}(f(x')).

A clean net lets one trigger carry everything to one or two favourites, but not each class to
another: that takes logic that heeds both the trigger and what is shown. The margin on samples that
were not searched on says how far it goes; it is one number for the whole model.
Source: ours (docs/method.md); the assignment is by the Hungarian method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from stages import progress
from stages.later import optimize, torch, without_gradients
from stages.searches import margins
from stages.searches.ascent import Ascent
from stages.searches.blocks import Block, State
from stages.searches.probe import Probe, balanced, probe_of
from stages.searches.search import AttackSuccess, Effort, SearchResult, StatisticSpec, Subject
from stages.searches.square_phases import (
    SquareConfig,
    SquareGround,
    SquarePhases,
    ground_of_phases,
)
from stages.searches.squares import nearly_grey
from stages.searches.trigger import Overlay, Patch
from stages.settings import Places, PositiveShare, Rate, Samples, Steps, settings
from stages.types import Floats, Integers


@settings
class PermutationConfig(SquareConfig):
    """Settings of the permutation."""

    samples: Samples = 60
    """Clean samples, balanced over the classes; `per_class` of each where that is more."""
    per_class: Samples = 2
    """Clean samples of each class at least, as far as `most_samples` go."""
    most_samples: Samples = 120
    """Clean samples at most, however many classes there are; others are no sources then."""
    evaluation_samples: Samples = 140
    """Further clean samples that the triggers found are evaluated on."""
    side: PositiveShare = 0.2
    """Side of the square as a share of the image's."""
    stride: PositiveShare = 0.75
    """Distance from one place to the next as a share of the square's side."""
    first_steps: Steps = 5
    """Adam steps of the patterns of all groups, on half of the samples."""
    kept: Places = 2
    """Squares that go on apart, on all samples."""
    pattern_steps: Steps = 8
    """Adam steps of the pattern at the place that was found."""
    opacity: PositiveShare = 0.2
    """How much of the faint pattern is seen."""
    blend_steps: Steps = 12
    """Adam steps of the faint pattern."""
    blend_rate: Rate = 0.7
    """Adam's learning rate for the logits of the faint pattern."""

    @property
    def steps(self) -> int:
        """All steps."""
        return self.square_steps + self.blend_steps

    @property
    def brief(self) -> None:
        """None: it takes no brief look."""


PermutationState = State[PermutationConfig, SquareGround]
PATTERN = "pattern"


class Permutation:
    """The search for a permutation. Its one block holds what `SquarePhases` make of the patch, as
    if for one class, and after it logits of the colours of the faint `pattern` (1, *input shape).
    """

    name = "permutation"
    version = 4
    settings = PermutationConfig
    joint = True
    early_after: int | None = None
    statistics = (
        StatisticSpec(
            name="patch_margin",
            unit="logit gaps",
            meaning="one patch carries every class to a class of its own",
            whole=True,
        ),
        StatisticSpec(
            name="blend_margin",
            unit="logit gaps",
            meaning="one faint pattern carries every class to a class of its own",
            whole=True,
            beyond="blend.margin",
        ),
    )

    def start(self, subject: Subject, config: PermutationConfig, seed: int) -> PermutationState:
        """Nothing is searched yet."""
        wanted = min(config.per_class * subject.twin.classes, config.most_samples)
        count = max(config.samples, wanted)
        samples = subject.samples
        rows = balanced(samples, subject.clean.logits, len(samples), seed)
        searched = probe_of(subject, rows[:count], config.memory_mb)
        held = _held(samples.labels[rows], count, config.evaluation_samples)
        phases = SquarePhases(
            config=config,
            groups=searched.only(slice(-(-len(searched.images) // 2))),
            places=searched,
            patterns=searched,
            seed=seed,
            objective=permuted_margins,
        )
        evaluation = probe_of(subject, rows[held], config.memory_mb) if len(held) else searched
        ground = ground_of_phases(subject, phases, evaluation)
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=ground)

    def at_once(self, state: PermutationState) -> int:
        """All classes."""
        return state.classes

    def advance(
        self, state: PermutationState, classes: torch.Tensor, steps: int
    ) -> PermutationState:
        """The state after up to `steps` more steps, for all classes, whichever are asked for."""
        del classes
        block = state.blocks[0] if state.blocks else _begun(state)
        last = min(block.step + steps, state.config.steps)
        step_done = progress.counter(last - block.step)
        while block.step < last and not progress.is_pause_wanted():
            block = _step(state, block, step_done)
        return replace(state, blocks=(block,))

    def reached(self, state: PermutationState) -> Floats:
        """The mean margin (K,) of the samples' assigned classes in logits under the patch, the same
        for all.
        """
        found = [state.ground.phases.reached(_of_one_class(each)) for each in state.blocks]
        return state.per_class([each.expand(state.classes) for each in found])

    def effort(self, state: PermutationState) -> Effort:
        """Steps, and images: those of the patch, and all samples under the faint pattern."""
        taken = state.blocks[0].step if state.blocks else 0
        blended = max(0, taken - state.config.square_steps) * len(state.ground.probe.images)
        return Effort(steps=taken, images=state.ground.phases.images(taken) + blended)

    def result(self, state: PermutationState) -> SearchResult:
        """The margins on samples that were not searched on, and the trigger that goes further."""
        found = [_evaluated(state, each) for each in (_patch(state), _overlay(state))]
        best = max(found, key=lambda each: each.margin)
        values = dict(zip(("patch_margin", "blend_margin"), found, strict=True))
        return SearchResult(
            statistics={
                name: np.full(state.classes, each.margin, np.float32)
                for name, each in values.items()
            },
            targets=tuple(best.mapping.tolist()) if best.margin > 0 else (),
            mapping=best.mapping,
            trigger=best.trigger,
            success=AttackSuccess(rate=best.share, samples=len(state.ground.evaluation.images)),
            effort=self.effort(state),
        )


def permuted_margins(probe: Probe, rows: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """The mean margin (r,) in logits of the samples' assigned classes, under each of the triggers
    that are shown (r, B, *input shape); what the rows aim at is not asked for.
    """
    del rows
    logits = probe.logits(shown)
    wanted = assigned(logits, probe.labels)[:, probe.labels]
    found = zip(logits, wanted, strict=True)
    return torch.stack([margins.margins(each[:, None], to).mean() for each, to in found])


def assigned(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """π (r, K) with the largest sum of mean logits: a class other than itself for every source.

    Logits (r, B, K) and labels (B,) of the samples; sources without samples are assigned last.
    """
    numbers = torch.arange(logits.shape[2], device=logits.device)
    member = (labels[:, None] == numbers).to(logits.dtype)
    means = (member.T @ logits) / member.sum(0).clamp(min=1)[:, None]
    found = [_assigned(gains) for gains in means.detach().cpu().double().numpy()]
    return torch.as_tensor(np.stack(found), device=logits.device)


def _assigned(gains: Floats) -> Integers:
    """The assignment (K,) of gains (K, K), on the processor."""
    np.fill_diagonal(gains, gains.min() - 1e6)
    found: Integers = optimize.linear_sum_assignment(gains, maximize=True)[1]
    return found


def _begun(state: PermutationState) -> Block:
    block = state.ground.phases.begun(state.ground.subject.classes[:1])
    return replace(block, classes=state.ground.subject.classes)


def _of_one_class(block: Block) -> Block:
    """The block with the patch alone, which is searched for as if for one class."""
    tensors = {name: each for name, each in block.tensors.items() if not name.startswith(PATTERN)}
    return replace(block, classes=block.classes[:1], tensors=tensors)


def _step(state: PermutationState, block: Block, step_done: Callable[[], None]) -> Block:
    """One Adam step of the patch, or of the pattern once that has been found."""
    phases, config = state.ground.phases, state.config
    if block.step < config.square_steps:
        moved = phases.climbed(_of_one_class(block), 1, step_done)
        return replace(moved, classes=block.classes)
    taken = block.step - config.square_steps
    probe, tensors = state.ground.probe, block.tensors
    if not taken:
        tensors = {**tensors, PATTERN: nearly_grey(probe, state.seed)}
    ascent = Ascent(tensors, [PATTERN], taken, config.blend_rate)
    shown = _blended(state, ascent.parameters[0], probe.images)
    ascent.step(permuted_margins(probe, block.classes[:1], shown[None]))
    step_done()
    return replace(block, step=block.step + 1, tensors={**tensors, **ascent.tensors()})


def _blended(state: PermutationState, colours: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Images (B, *input shape) under the faint pattern of logits (1, *input shape)."""
    opacity = state.config.opacity
    return (1 - opacity) * images + opacity * _values(state, colours)


def _values(state: PermutationState, colours: torch.Tensor) -> torch.Tensor:
    """Input values of logits of colours (1, *input shape)."""
    return state.ground.probe.pattern(torch.sigmoid(colours), state.config.detail)


def _patch(state: PermutationState) -> Patch:
    return state.ground.phases.settled(_of_one_class(state.blocks[0])).patch(0)


@without_gradients
def _overlay(state: PermutationState) -> Overlay:
    colours = state.blocks[0].tensors.get(PATTERN, nearly_grey(state.ground.probe, state.seed))
    pattern = _values(state, colours)[0].cpu().numpy()
    return Overlay(opacity=state.config.opacity, pattern=pattern)


class _Found(NamedTuple):
    """A trigger on the evaluation samples: the mean margin in logit gaps, the mapping (K,), and the
    share of samples that follow it.
    """

    trigger: Patch | Overlay
    margin: float
    mapping: Integers
    share: float


@without_gradients
def _evaluated(state: PermutationState, trigger: Patch | Overlay) -> _Found:
    """What a trigger does on the evaluation samples, by its mapping on those of the search."""
    probe, evaluation = state.ground.probe, state.ground.evaluation
    mapping = assigned(probe.logits(_under(trigger, probe)), probe.labels)[0]
    logits = evaluation.logits(_under(trigger, evaluation), exact=True)[0]
    wanted = mapping[evaluation.labels]
    return _Found(
        trigger=trigger,
        margin=float(margins.margins(logits[:, None], wanted).mean()) / state.ground.gap,
        mapping=mapping.cpu().numpy(),
        share=float((logits.argmax(1) == wanted).float().mean()),
    )


def _under(trigger: Patch | Overlay, probe: Probe) -> torch.Tensor:
    """The samples (1, B, *input shape) of a probe set under a trigger."""
    shown = trigger.apply(probe.images.cpu().numpy())
    return torch.as_tensor(shown, device=probe.images.device)[None]


def _held(labels: Integers, searched: int, most: int) -> Integers:
    """At most so many places (n,) in the labels after the `searched` first: those of one of their
    sources, as the mapping says nothing of others.
    """
    known = np.isin(labels[searched:], labels[:searched])
    held: Integers = searched + np.flatnonzero(known)[:most]
    return held


permutation = Permutation()
