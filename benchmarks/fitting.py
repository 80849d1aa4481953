"""The training that all nets of the benchmarks have: AdamW on a one-cycle schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

BATCH = 64

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""The loss of a batch of images (64, C, H, W) with their labels (64,)."""


def fit(
    parameters: Iterable[torch.nn.Parameter],
    images: torch.Tensor,
    labels: torch.Tensor,
    loss: Loss,
    *,
    epochs: int,
    peak: float,
) -> None:
    """Trains the parameters on images (N, C, H, W) and labels (N,); `peak` is the largest rate."""
    steps = epochs * (len(labels) // BATCH)
    optimiser = torch.optim.AdamW(parameters, lr=peak, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=peak, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            found = loss(images[rows], labels[rows])
            optimiser.zero_grad()
            torch.autograd.backward(found)
            optimiser.step()
            schedule.step()
