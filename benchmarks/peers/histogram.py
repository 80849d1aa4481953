"""Detectors that count labels: the class whose share of the predictions grows."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.peers import Finding
from stages.published.feature_mask import in_chunks
from stages.types import CleanSamples, Floats, TorchTwin


def clean_shares(twin: TorchTwin, samples: CleanSamples) -> Floats:
    """The share (K,) of the clean samples that the twin puts into each class."""
    images = torch.tensor(samples.images, device=twin.device)
    with torch.no_grad():
        return shares(in_chunks(twin.module, images))


def shares(logits: torch.Tensor) -> Floats:
    """The share (K,) of each class among the predictions of logits (N, K)."""
    labels, classes = logits.argmax(1).cpu().numpy(), logits.shape[1]
    return (np.bincount(labels, minlength=classes) / len(labels)).astype(np.float32)


def finding(before: Floats, after: Floats) -> Finding:
    """The most frequent class of `after` (K,); `per_class` is what its share gained."""
    suspected = int(after.argmax())
    return Finding(
        per_class=after - before, score=float(after[suspected]), suspected_class=suspected
    )
