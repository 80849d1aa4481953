"""Images in parts whose activations, forward and backward, fit into the memory that is set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from stages.later import torch
from stages.twin import fx_graph
from stages.types import TorchTwin

TOGETHER = 4
"""Several rows take a part of the memory, one in so many; only a single one may take it all."""
Part = TypeVar("Part")

BYTES = {"float32": 6, "bfloat16": 3}
"""What a pass forward and backward holds for each number that a layer gives, in each precision:
on nets of torchvision 3.1 to 4.8 bytes, and 1.8.
"""


def images_that_fit(
    twin: TorchTwin, images: torch.Tensor, memory_mb: int, *, exact: bool = False
) -> int:
    """How many of the images (B, *input shape) fit into `memory_mb` MiB at once; at least one.

    They are computed in the twin's own arithmetic, or `exact`, in float32.
    """
    numbers = sum(fx_graph.sizes(twin.module, images[:1].to(twin.device)))
    each = BYTES["float32" if exact else twin.arithmetic.precision] * numbers
    return max(1, memory_mb * 2**20 // each)


def rows_at_once(most: int, images: int) -> int:
    """How many rows of so many images go at once where `most` images fit; at least one."""
    return max(1, most // (TOGETHER * images))


def in_parts(compute: Callable[[Part], torch.Tensor], parts: Sequence[Part]) -> torch.Tensor:
    """What is computed of one part after another, along the first axis.

    For a gradient every part, unless it is the only one, is computed a second time when its turn
    comes, so that only the activations of one part are held at once.
    """
    if len(parts) == 1:
        return compute(parts[0])
    from torch.utils.checkpoint import checkpoint  # noqa: PLC0415 (slow, as torch is)

    if not torch.is_grad_enabled():
        return torch.cat([compute(part) for part in parts])
    return torch.cat(
        [checkpoint(compute, part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    )
