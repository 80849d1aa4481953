"""Images in parts whose activations, forward and backward, fit into the memory that is set."""

from __future__ import annotations

from collections.abc import Callable

from stages.later import torch
from stages.twin import fx_graph
from stages.types import TorchTwin

BYTES = 3 * 4
"""Of each number of an activation: itself, its gradient, and what is computed on the way."""


def images_that_fit(twin: TorchTwin, images: torch.Tensor, memory_mb: int) -> int:
    """How many of the images (B, *input shape) fit into `memory_mb` MiB at once; at least one."""
    floats = sum(fx_graph.sizes(twin.module, images[:1].to(twin.device)))
    return max(1, memory_mb * 2**20 // (BYTES * floats))


def rows_that_fit(twin: TorchTwin, images: torch.Tensor, memory_mb: int) -> int:
    """How many rows, each with all of the images, fit into `memory_mb` MiB; at least one."""
    return max(1, images_that_fit(twin, images, memory_mb) // len(images))


def in_parts(
    compute: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, most: int
) -> torch.Tensor:
    """What is computed of the rows (n, …), `most` at a time, along the first axis.

    For a gradient every part is computed a second time when its turn comes, so that only the
    activations of one part are held at once.
    """
    from torch.utils.checkpoint import checkpoint  # noqa: PLC0415 (slow, as torch is)

    parts = torch.split(rows, most)
    if not torch.is_grad_enabled():
        return torch.cat([compute(part) for part in parts])
    return torch.cat(
        [checkpoint(compute, part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    )
