"""What searches share that try a fixed list of changes of the image, the same for every class.

One change answers for all classes at once, and no gradient is needed: each is laid on the samples,
and every class keeps the one that carries it furthest. A net that learnt a change of a common form
answers to one like it, whatever its exact numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from stages import progress
from stages.later import torch, without_gradients
from stages.searches import margins
from stages.searches.blocks import Block, State, rows_that_fit
from stages.searches.ground import Ground
from stages.searches.search import Effort, SearchResult, most
from stages.searches.success import attack_success
from stages.searches.trigger import Trigger
from stages.types import Floats

FORWARD = 3
"""An image that is shown forward alone costs about a third of one shown forward and backward."""

Config = TypeVar("Config")


Read = Callable[[State[Config, Ground], "torch.Tensor"], dict[str, "torch.Tensor"]]
"""What logits (g, B, K) under g changes say: numbers (g, K) each by name, `mean` and `value` among
them. The largest `value` of a class tells which change suits it best.
"""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """`count` changes; `shown` lays those of some numbers (g,) on images (B, *input shape), which
    gives (g, B, *input shape), and `trigger` is the one of a number.
    """

    count: int
    shown: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    trigger: Callable[[int], Trigger]


def tried(
    state: State[Config, Ground], changes: Changes, read: Read[Config], memory_mb: int
) -> State[Config, Ground]:
    """The state after every change was laid on the samples: for each class what `read` says under
    the change that suits it best, and the number of that change.
    """
    found = list(_read(state, changes, read, memory_mb))
    joined = {name: torch.cat([each[name] for each in found]) for name in found[0]}
    best = joined["value"].argmax(0)
    tensors = {name: values.gather(0, best[None])[0] for name, values in joined.items()}
    classes = state.ground.subject.classes
    block = Block(classes=classes, step=1, tensors={**tensors, "change": best})
    return replace(state, blocks=(block,))


@without_gradients
def _read(
    state: State[Config, Ground], changes: Changes, read: Read[Config], memory_mb: int
) -> Iterator[dict[str, torch.Tensor]]:
    """What is read under some changes after others."""
    probe = state.ground.probe
    numbers = torch.arange(changes.count, device=probe.images.device)
    groups = torch.split(numbers, rows_that_fit(probe.twin, probe.images, memory_mb))
    step_done = progress.counter(len(groups))
    for group in groups:
        yield read(state, probe.logits(changes.shown(group, probe.images)))
        step_done()


def alike(state: State[Config, Ground], logits: torch.Tensor) -> dict[str, torch.Tensor]:
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


def reached(state: State[Config, Ground]) -> Floats:
    """The mean margin (K,) in logits under the change that suits each class best."""
    return state.per_class([block.tensors["mean"] for block in state.blocks])


def effort(state: State[Config, Ground], changes: Changes) -> Effort:
    """What it has cost: one step of every class."""
    images = changes.count * len(state.ground.probe.images) if state.blocks else 0
    return Effort(steps=state.steps, images=-(-images // FORWARD))


def result(state: State[Config, Ground], changes: Changes, statistic: str) -> SearchResult:
    """The `statistic`, which is the `value` that was read, and the change that leads; of a change
    of one `source` class alone, its success is that on samples of this class.
    """
    ground = state.ground
    if not state.blocks:
        nothing = {statistic: np.zeros(state.classes, np.float32)}
        return SearchResult(statistics=nothing, targets=(), effort=effort(state, changes))
    values = state.per_class([block.tensors["value"] for block in state.blocks])
    target = most(values)
    block, row = state.place_of(target)
    trigger = changes.trigger(int(block.tensors["change"][row]))
    source = int(block.tensors["source"][row]) if "source" in block.tensors else None
    searched = len(ground.probe.images)
    return SearchResult(
        statistics={statistic: values},
        targets=(target,),
        trigger=trigger,
        success=attack_success(ground.subject, trigger, target, searched, state.seed, source),
        effort=effort(state, changes),
    )
