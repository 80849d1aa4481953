"""Classes whose scores are the same but for a constant, which are one class to a search.

A second row of the last layer like the target's would keep the target from ever winning by much.
Source: ours.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch
from torch import fx, nn

from stages.types import CleanSamples, Floats, TorchTwin

NEARLY = 0.02
"""Two classes are alike if their difference varies by less than this share of what is usual."""

Alike = tuple[tuple[int, int], ...]
"""Pairs of a class and an earlier one that it is like."""


def alike_classes(logits: Floats) -> Alike:
    """The classes whose logits (N, K) follow those of an earlier class on all samples."""
    centred = logits.astype(np.float64) - logits.mean(axis=0)
    products = centred.T @ centred / len(logits)
    own = np.diag(products)
    spread = np.sqrt(np.maximum(own[:, None] + own - 2 * products, 0))
    usual = np.median(spread[~np.eye(len(own), dtype=bool)])
    found: dict[int, int] = {}
    for later, earlier in np.argwhere(np.tril(spread < NEARLY * usual, -1)):
        if earlier not in found:
            found.setdefault(int(later), int(earlier))
    return tuple(sorted(found.items()))


def with_one_of_each(twin: TorchTwin, alike: Alike) -> TorchTwin:
    """The twin with every class that is like an earlier one put at the mean of the others, where it
    never wins; weights are shared.
    """
    graph = fx.Graph()
    returned = graph.graph_copy(twin.module.graph, {})
    later = torch.tensor([one for one, _ in alike], device=twin.device)
    module = fx.GraphModule(twin.module, graph)
    module.add_submodule("one_of_each", _OneOfEach(twin.classes, later))
    graph.output(graph.call_module("one_of_each", (returned,)))
    module.recompile()
    digest = hashlib.sha256(f"{twin.digest} {alike}".encode()).hexdigest()
    return replace(twin, module=module.eval(), digest=digest)


def with_labels_of(samples: CleanSamples, alike: Alike) -> CleanSamples:
    """The samples, with every label of a class that is like an earlier one replaced by that."""
    labels = samples.labels.copy()
    for later, earlier in alike:
        labels[samples.labels == later] = earlier
    return replace(samples, labels=labels)


def folded(scores: Floats, alike: Alike) -> Floats:
    """Scores (N, K) in which a class has the largest of those like it, and those the smallest."""
    together = scores.copy()
    for later, earlier in alike:
        together[:, earlier] = np.maximum(together[:, earlier], scores[:, later])
        together[:, later] = scores.min(axis=1)
    return together


class _OneOfEach(nn.Module):
    """Puts some classes at the mean of the others."""

    later: torch.Tensor

    def __init__(self, classes: int, later: torch.Tensor) -> None:
        super().__init__()
        mask = torch.zeros(classes, dtype=torch.bool, device=later.device)
        mask[later] = True
        self.register_buffer("later", mask)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits (N, K)."""
        mean = logits[:, ~self.later].mean(dim=1, keepdim=True)
        return torch.where(self.later, mean, logits)
