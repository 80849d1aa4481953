"""Images in portions that a net takes at once without holding more memory than is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stages.later import torch
from stages.twin import fx_graph
from stages.types import Floats

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
    module: fx.GraphModule, images: Floats, device: torch.device, *, both_ways: bool = False
) -> Iterator[torch.Tensor]:
    """The images (N, *input shape) in portions (n, *input shape), each put on the module's device
    when its turn comes, so that there is no second copy of them all.

    Forward, only the largest activation counts; `both_ways` all do, since they wait for the
    backward pass. Small nets take `MOST` at once. One image always fits.
    """
    sizes = fx_graph.sizes(module, torch.tensor(images[:1], device=device))
    held = sum(sizes) if both_ways else max(sizes)
    size = max(1, min(MOST, ROOM // (TIMES * held)))
    for start in range(0, len(images), size):
        yield torch.tensor(images[start : start + size], device=device)
