"""What searches share that try a fixed list of changes of the image, the same for every class.

One change answers for all classes at once, and no gradient is needed: each is laid on the samples,
and every class keeps the one that carries it furthest. A net that learnt a change of a common form
answers to one like it, whatever its exact numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from stages import progress
from stages.later import torch, without_gradients
from stages.searches import margins
from stages.searches.blocks import Block, State
from stages.searches.ground import Ground, ground_of
from stages.searches.search import Effort, SearchResult, StatisticSpec, Subject, most
from stages.searches.success import attack_success
from stages.searches.trigger import Trigger
from stages.settings import Memory, Samples, settings
from stages.types import Floats, unkeyed

FORWARD = 3
"""An image that is shown forward alone costs about a third of one shown forward and backward."""


@settings
class FixedConfig:
    """Settings that all such searches have."""

    samples: Samples = 40
    """Clean samples, balanced over the classes, that every change is laid on."""
    memory_mb: Memory = unkeyed(2048)
    """Activations that may be held at once, in MiB; more changes are done in groups."""

    @property
    def evaluation_samples(self) -> int:
        """The samples that the changes are laid on are those that they are evaluated on."""
        return self.samples

    @property
    def steps(self) -> int:
        """All steps: every change is laid on once."""
        return 1

    @property
    def brief(self) -> FixedConfig:
        """The same: it is brief."""
        return self


FixedState = State[Any, Ground]
"""How far such a search has come; its settings are some `FixedConfig`."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """`count` changes; `shown` lays those of some numbers (g,) on images (B, *input shape), which
    gives (g, B, *input shape), and `trigger` is the one of a number.
    """

    count: int
    shown: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    trigger: Callable[[int], Trigger]


class FixedChanges:
    """A search through changes that are the same for all classes: its one step answers for all.

    An input whose shorter side is below `smallest` pixels is not searched: no class begins, and no
    class stands out. What is no image counts as one row of pixels.
    """

    name: str
    version = 1
    settings: type[Any]
    joint = True
    early_after: int | None = None
    statistics: tuple[StatisticSpec, ...]
    smallest: ClassVar[int] = 1

    def changes(self, state: FixedState) -> Changes:
        """The changes that are tried."""
        raise NotImplementedError

    def read(self, state: FixedState, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """What logits (g, B, K) under g changes say: numbers (g, K) each by name, `mean` and
        `value` among them. The largest `value` of a class tells which change suits it best.
        """
        return alike(state, logits)

    def start(self, subject: Subject, config: Any, seed: int) -> FixedState:
        """Nothing is laid on yet."""
        ground = ground_of(subject, (config.samples, config.samples), seed, config.memory_mb)
        return State(config=config, seed=seed, classes=subject.twin.classes, ground=ground)

    def at_once(self, state: FixedState) -> int:
        """All classes."""
        return state.classes

    def advance(self, state: FixedState, classes: torch.Tensor, steps: int) -> FixedState:
        """The state after every change, for all classes, whichever are asked for: of each what is
        read under the change that suits it best, and the number of that change.
        """
        del classes
        if state.blocks or not steps or min(state.ground.plane) < self.smallest:
            return state
        found = list(self._read_all(state))
        joined = {name: torch.cat([each[name] for each in found]) for name in found[0]}
        best = joined["value"].argmax(0)
        tensors = {name: values.gather(0, best[None])[0] for name, values in joined.items()}
        classes = state.ground.subject.classes
        block = Block(classes=classes, step=1, tensors={**tensors, "change": best})
        return replace(state, blocks=(block,))

    @without_gradients
    def _read_all(self, state: FixedState) -> Iterator[dict[str, torch.Tensor]]:
        """What is read under some changes after others."""
        probe, changes = state.ground.probe, self.changes(state)
        numbers = torch.arange(changes.count, device=probe.images.device)
        groups = torch.split(numbers, probe.rows)
        step_done = progress.counter(len(groups))
        for group in groups:
            shown = changes.shown(group, probe.images)
            yield self.read(state, probe.logits(shown, exact=True))
            step_done()

    def reached(self, state: FixedState) -> Floats:
        """The mean margin (K,) in logits under the change that suits each class best."""
        return state.per_class([block.tensors["mean"] for block in state.blocks])

    def effort(self, state: FixedState) -> Effort:
        """What it has cost: one step of every class."""
        images = self.changes(state).count * len(state.ground.probe.images) if state.blocks else 0
        return Effort(steps=state.steps, images=-(-images // FORWARD))

    def result(self, state: FixedState) -> SearchResult:
        """The statistic, which is the `value` that was read, and the change that leads; of a change
        of one `source` class alone, its success is that on samples of this class.
        """
        ground, (spec,) = state.ground, self.statistics
        if not state.blocks:
            nothing = {spec.name: np.zeros(state.classes, np.float32)}
            return SearchResult(statistics=nothing, targets=(), effort=self.effort(state))
        values = state.per_class([block.tensors["value"] for block in state.blocks])
        target = most(values)
        block, row = state.place_of(target)
        trigger = self.changes(state).trigger(int(block.tensors["change"][row]))
        source = int(block.tensors["source"][row]) if "source" in block.tensors else None
        searched = len(ground.probe.images)
        return SearchResult(
            statistics={spec.name: values},
            targets=(target,),
            trigger=trigger,
            success=attack_success(ground.subject, trigger, target, searched, state.seed, source),
            effort=self.effort(state),
        )


def alike(state: FixedState, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    """How much each class wins by, and how evenly, over the samples of all other classes: mean
    margins in logits, and standardised ones.
    """
    ground, probe = state.ground, state.ground.probe
    values = margins.of_all_classes(logits).movedim(-1, 1)
    counted = (probe.labels != ground.subject.classes[:, None]).expand(values.shape).flatten(0, 1)
    flat = values.flatten(0, 1)
    mean = margins.mean_over(flat, counted)
    certain = margins.standardised(flat, counted, margins.USUAL * ground.gap)
    return {"mean": mean.reshape(len(logits), -1), "value": certain.reshape(len(logits), -1)}
