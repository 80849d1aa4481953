"""Images in portions that a net takes at once without holding more memory than is set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stages.later import torch
from stages.twin import fx_graph
from stages.types import Floats, TorchTwin

if TYPE_CHECKING:
    from torch import fx

MOST = 128
"""Images of a portion at most."""
ROOM = 256 * 2**20
"""Bytes for the activations of a portion, a few times over."""
TIMES = 16
"""Bytes for each number of an activation: as float32 what a layer reads and writes, as float64 when
it is added up.
"""


def portions(
    module: fx.GraphModule, images: torch.Tensor, *, both_ways: bool = False
) -> Sequence[torch.Tensor]:
    """The images (N, *input shape), on the module's device, in portions (n, *input shape).

    Forward, only the largest activation counts; `both_ways` all do, since they wait for the
    backward pass. Small nets take `MOST` at once. One image always fits.
    """
    return torch.split(images, _at_once(module, images, both_ways=both_ways))


def loaded(twin: TorchTwin, images: Floats) -> Iterator[torch.Tensor]:
    """Images (N, *input shape) in such portions, each put on the twin's device when its turn comes,
    so that there is no second copy of them all.
    """
    first = torch.tensor(images[:1], device=twin.device)
    size = _at_once(twin.module, first, both_ways=False)
    for start in range(0, len(images), size):
        yield torch.tensor(images[start : start + size], device=twin.device)


def _at_once(module: fx.GraphModule, images: torch.Tensor, *, both_ways: bool) -> int:
    sizes = fx_graph.sizes(module, images)
    held = sum(sizes) if both_ways else max(sizes)
    return max(1, min(MOST, ROOM // (TIMES * held)))
