"""One trigger that carries every class to a class of its own: all-to-all backdoors.

One patch p, at each of nine places apart, and one faint pattern, on clean samples of all classes.
At every step, with M[s, j] the mean logit of class j over samples of source s under the trigger,

    π = the assignment, π(s) ≠ s, with the largest Σ M[s, π(s)];   climb  mean margin_{π(y)}(f(x')).

A clean net lets one trigger carry everything to one or two favourites, but not each class to
another: that takes logic that heeds both the trigger and what is shown. The margin on samples that
were not searched on says how far it goes; it is one number for the whole model.
Source: ours (docs/method.md); the assignment is by the Hungarian method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from stages import image_layout, progress
from stages.later import optimize, torch, without_gradients
from stages.searches import margins
from stages.searches.ascent import Ascent, without_moments
from stages.searches.blocks import Block, State
from stages.searches.probe import Probe, balanced, probe_of
from stages.searches.search import AttackSuccess, Effort, SearchResult, StatisticSpec, Subject
from stages.searches.squares import square_of
from stages.searches.trigger import Overlay, Patch
from stages.settings import (
    Cells,
    Memory,
    Places,
    PositiveShare,
    Rate,
    Samples,
    Steps,
    settings,
)
from stages.types import Floats, Integers, unkeyed


@settings
class PermutationConfig:
    """Settings of the permutation."""

    samples: Samples = 60
    """Clean samples, balanced over the classes; `per_class` of each where that is more."""
    per_class: Samples = 2
    """Clean samples of each class at least, as far as `most_samples` go."""
    most_samples: Samples = 120
    """Clean samples at most, however many classes there are; others are no sources then."""
    evaluation_samples: Samples = 140
    """Further clean samples that the triggers found are evaluated on."""
    side: PositiveShare = 0.25
    """Side of the patch as a share of the image's."""
    places: Places = 3
    """Places of the patch along each side of the image."""
    first_steps: Steps = 12
    """Adam steps at every place, on half of the samples."""
    place_steps: Steps = 24
    """Adam steps at the best place."""
    opacity: PositiveShare = 0.2
    """How much of the faint pattern is seen."""
    pattern_steps: Steps = 30
    """Adam steps of the faint pattern."""
    detail: Cells = 48
    """Squares of one colour each along the image's shorter side, of which a pattern consists at
    most: so many as the largest images have pixels that the calibration was measured on.
    """
    rate: Rate = 0.3
    """Adam's learning rate for logits of the colours."""
    memory_mb: Memory = unkeyed(2048)
    """MiB for the activations of what is shown at once."""

    @property
    def steps(self) -> int:
        """All steps."""
        return self.first_steps + self.place_steps + self.pattern_steps

    @property
    def brief(self) -> None:
        """None: it takes no brief look."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ground:
    """What is searched and evaluated on, the masks (P, 1, *mask shape) of all places, the unit."""

    subject: Subject
    probe: Probe
    evaluation: Probe
    masks: torch.Tensor
    gap: float


PermutationState = State[PermutationConfig, _Ground]
PATCH, PATTERN = "patch", "pattern"


class Permutation:
    """The search for a permutation. Its one block holds logits of the colours of the `patch` at
    every place (1, P, *input shape), or at the best one, its `place` (1,), and of the `pattern`.
    """

    name = "permutation"
    version = 3
    settings = PermutationConfig
    joint = True
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
        ground = _Ground(
            subject=subject,
            probe=searched,
            evaluation=probe_of(subject, rows[held], config.memory_mb) if len(held) else searched,
            masks=_masks(searched, config),
            gap=margins.logit_gap(subject.clean.logits),
        )
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=ground)

    def at_once(self, state: PermutationState) -> int:
        """All classes."""
        return state.classes

    def advance(
        self, state: PermutationState, classes: torch.Tensor, steps: int
    ) -> PermutationState:
        """The state after up to `steps` more steps, for all classes, whichever are asked for."""
        del classes
        block = state.blocks[0] if state.blocks else _begin(state)
        last = min(block.step + steps, state.config.steps)
        step_done = progress.counter(last - block.step)
        while block.step < last and not progress.is_pause_wanted():
            block = _step(state, block)
            step_done()
        return replace(state, blocks=(block,))

    def reached(self, state: PermutationState) -> Floats:
        """The mean margin (K,) of the samples' assigned classes in logits, the same for all."""
        return state.per_class(
            [block.tensors["reached"].expand(state.classes) for block in state.blocks]
        )

    def effort(self, state: PermutationState) -> Effort:
        """Steps, and images: the patch is shown at every place at first."""
        config, taken = state.config, state.blocks[0].step if state.blocks else 0
        count, places = len(state.ground.probe.images), len(state.ground.masks)
        first = min(taken, config.first_steps)
        return Effort(steps=taken, images=first * places * (count // 2) + (taken - first) * count)

    def result(self, state: PermutationState) -> SearchResult:
        """The margins on samples that were not searched on, and the trigger that goes further."""
        found = {kind: _evaluated(state, kind) for kind in (PATCH, PATTERN)}
        kind = max(found, key=lambda each: found[each].margin)
        margin, mapping, share, row = found[kind]
        values = {"patch_margin": found[PATCH].margin, "blend_margin": found[PATTERN].margin}
        return SearchResult(
            statistics={
                name: np.full(state.classes, value, np.float32) for name, value in values.items()
            },
            targets=tuple(mapping.tolist()) if margin > 0 else (),
            mapping=mapping,
            trigger=_trigger(state, kind, row),
            success=AttackSuccess(rate=share, samples=len(state.ground.evaluation.images)),
            effort=self.effort(state),
        )


def assigned(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """π (places, K) with the largest sum of mean logits: a class other than itself for every
    source.

    Logits (places, B, K) and labels (B,) of the samples; sources without samples are assigned last.
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


def _begin(state: PermutationState) -> Block:
    shape, device = state.ground.probe.images.shape[1:], state.ground.probe.images.device
    generator = torch.Generator().manual_seed(state.seed)
    start = (0.1 * torch.randn(1, 1, *shape, generator=generator)).to(device)
    tensors = {
        PATCH: start.expand(1, len(state.ground.masks), *shape).clone(),
        PATTERN: start.clone(),
        "place": torch.zeros(1, dtype=torch.int64, device=device),
        "reached": torch.zeros(1, device=device),
    }
    return Block(classes=state.ground.subject.classes, step=0, tensors=tensors)


def _step(state: PermutationState, block: Block) -> Block:
    """One Adam step of the patch at all places, then at the best one, then of the pattern."""
    config = state.config
    settled = config.first_steps + config.place_steps
    if block.step == config.first_steps:
        block = _settled(state, block)
    kind = PATCH if block.step < settled else PATTERN
    begun = 0 if block.step < config.first_steps else config.first_steps
    begun = begun if kind == PATCH else settled
    shown = state.ground.probe
    if block.step < config.first_steps:
        shown = shown.only(slice(len(shown.images) // 2))
    if block.step == begun:
        block = replace(block, tensors=without_moments(block.tensors))
    ascent = Ascent(block.tensors, [kind], block.step - begun, config.rate)
    parts = _assignments(state, shown, ascent.parameters[0], kind, block)
    reached = ascent.step_in_parts(margins for _, margins in parts)
    moved = block.with_tensors(**ascent.tensors(), reached=reached.max()[None])
    return replace(moved, step=block.step + 1)


@without_gradients
def _settled(state: PermutationState, block: Block) -> Block:
    """The block with the place alone whose patch goes furthest."""
    reached = _all_assignments(state, state.ground.probe, block.tensors[PATCH], PATCH, block)[1]
    best = reached.argmax()[None]
    tensors = {**without_moments(block.tensors), PATCH: block.tensors[PATCH][:, best]}
    return replace(block, tensors={**tensors, "place": best})


def _all_assignments(
    state: PermutationState, shown: Probe, colours: torch.Tensor, kind: str, block: Block
) -> list[torch.Tensor]:
    """The mapping (places, K) at every place, and the mean margin (places,) of its classes, in
    logits.
    """
    parts = list(_assignments(state, shown, colours, kind, block))
    return [torch.cat(each) for each in zip(*parts, strict=True)]


def _assignments(
    state: PermutationState, shown: Probe, colours: torch.Tensor, kind: str, block: Block
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same, of as many places after another as fit into the memory."""
    masks = _masks_of(state, kind, block)
    parts = (torch.split(each, shown.rows) for each in (colours[0], masks))
    for some, places in zip(*parts, strict=True):
        logits = shown.logits(_laid(state, some, kind, places, shown.images))
        mapping = assigned(logits, shown.labels)
        wanted = zip(logits, mapping, strict=True)
        reached = [margins.margins(each[:, None], to[shown.labels]).mean() for each, to in wanted]
        yield mapping, torch.stack(reached)


def _masks_of(state: PermutationState, kind: str, block: Block) -> torch.Tensor:
    """The masks (places, 1, *mask shape) of the rows of colours; one of no use for the pattern."""
    masks, count = state.ground.masks, block.tensors[kind].shape[1]
    return masks if count == len(masks) else masks[block.tensors["place"]]


def _laid(
    state: PermutationState,
    colours: torch.Tensor,
    kind: str,
    masks: torch.Tensor,
    images: torch.Tensor,
) -> torch.Tensor:
    """Images (B, *input shape) under the trigger of each place: (places, B, *input shape)."""
    values = _values(state, colours)[:, None]
    if kind == PATTERN:
        return (1 - state.config.opacity) * images + state.config.opacity * values
    return (1 - masks[:, None]) * images + masks[:, None] * values


def _values(state: PermutationState, colours: torch.Tensor) -> torch.Tensor:
    """Input values of logits of colours."""
    return state.ground.probe.pattern(torch.sigmoid(colours), state.config.detail)


class _Found(NamedTuple):
    """A trigger on the evaluation samples: the mean margin in logit gaps, the mapping (K,), the
    share of samples that follow it, and the row of its colours.
    """

    margin: float
    mapping: Integers
    share: float
    row: int


@without_gradients
def _evaluated(state: PermutationState, kind: str) -> _Found:
    """What the trigger that goes furthest on the probe set does on the evaluation samples."""
    ground, block = state.ground, state.blocks[0]
    colours = block.tensors[kind]
    mappings, reached = _all_assignments(state, ground.probe, colours, kind, block)
    row = reached.argmax()[None]
    mapping = mappings[row][0]
    masks = _masks_of(state, kind, block)[row]
    shown = _laid(state, colours[0][row], kind, masks, ground.evaluation.images)
    logits = ground.evaluation.logits(shown, exact=True)[0]
    wanted = mapping[ground.evaluation.labels]
    margin = margins.margins(logits[:, None], wanted).mean() / ground.gap
    share = (logits.argmax(1) == wanted).float().mean()
    return _Found(float(margin), mapping.cpu().numpy(), float(share), int(row))


def _trigger(state: PermutationState, kind: str, row: int) -> Patch | Overlay:
    block = state.blocks[0]
    colours = block.tensors[kind][0]
    values = _values(state, colours).cpu().numpy()
    if kind == PATTERN:
        return Overlay(opacity=state.config.opacity, pattern=values[0])
    place = int(block.tensors["place"]) if len(values) == 1 else row
    return Patch(mask=state.ground.masks[place].cpu().numpy(), colours=values[row])


def _masks(probe: Probe, config: PermutationConfig) -> torch.Tensor:
    """Squares (P, *mask shape) at even distances, from one edge of the image to the other."""
    shape = tuple(probe.images.shape[1:])
    height, width = image_layout.plane(shape)
    side, across = square_of(shape, config.side, torch.device("cpu")).shape[2:]
    tops = np.unique(np.linspace(0, height - side, config.places).round().astype(int))
    lefts = np.unique(np.linspace(0, width - across, config.places).round().astype(int))
    masks = torch.zeros(len(tops) * len(lefts), height, width)
    for number, (top, left) in enumerate((t, b) for t in tops for b in lefts):
        masks[number, top : top + side, left : left + across] = 1
    return masks.reshape(-1, *image_layout.mask_shape(shape)).to(probe.images.device)


def _held(labels: Integers, searched: int, most: int) -> Integers:
    """At most so many places (n,) in the labels after the `searched` first: those of one of their
    sources, as the mapping says nothing of others.
    """
    known = np.isin(labels[searched:], labels[:searched])
    held: Integers = searched + np.flatnonzero(known)[:most]
    return held


permutation = Permutation()
