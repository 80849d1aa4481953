"""Images in portions that a net takes at once without holding more memory than is set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.later import torch
from stages.twin import fx_graph

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
    sizes = fx_graph.sizes(module, images)
    held = sum(sizes) if both_ways else max(sizes)
    return torch.split(images, max(1, min(MOST, ROOM // (TIMES * held))))
