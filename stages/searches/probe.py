"""What a trigger is searched on: clean samples, and the values that inputs may take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from stages import image_layout
from stages.later import torch
from stages.searches.coarse import coarse
from stages.searches.parts import images_that_fit, in_parts, rows_at_once
from stages.searches.search import Subject
from stages.twin import arithmetic
from stages.types import CleanSamples, Floats, Integers, TorchTwin


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """Images (B, *input shape), their labels (B,), and the smallest and largest valid values.

    All lie on the twin's device; `low` and `high` spread over one image. `most` images fit into the
    memory at once.
    """

    twin: TorchTwin
    images: torch.Tensor
    labels: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    most: int

    def values(self, shares: torch.Tensor) -> torch.Tensor:
        """Input values of shares in [0, 1] of the valid range."""
        return self.low + (self.high - self.low) * shares

    def pattern(self, shares: torch.Tensor, detail: int) -> torch.Tensor:
        """The same of patterns (…, *input shape) that are to be no finer than `detail`."""
        return self.values(coarse(shares, tuple(self.images.shape[1:]), detail))

    def logits(self, shown: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        """Logits (g, B, K) of what is shown to the twin (g, B, *input shape), for what is reported
        `exact`.

        How many rows fit is for the caller to know; where not even one does, parts of it do.
        """
        compute, flat = partial(arithmetic.logits, self.twin, exact=exact), shown.flatten(0, 1)
        size = len(flat) if shown.shape[1] <= self.most else self.most
        found = in_parts(compute, torch.split(flat, size))
        return found.reshape(*shown.shape[:2], -1)

    @property
    def rows(self) -> int:
        """How many rows, each with all of the images, go at once; at least one."""
        return rows_at_once(self.most, len(self.images))

    def only(self, rows: slice | torch.Tensor) -> Probe:
        """The same with some of the images."""
        return replace(self, images=self.images[rows], labels=self.labels[rows])


def probes(subject: Subject, counts: Sequence[int], seed: int, memory_mb: int) -> list[Probe]:
    """A probe set of each count, the smaller ones with the first samples of the largest."""
    largest = probe(subject, max(counts), seed, memory_mb)
    return [largest.only(slice(count)) for count in counts]


def probe(subject: Subject, count: int, seed: int, memory_mb: int) -> Probe:
    """Up to `count` correctly classified samples, balanced over the classes, as a probe set."""
    rows = balanced(subject.samples, subject.clean.logits, count, seed)
    return probe_of(subject, rows, memory_mb)


def probe_of(subject: Subject, rows: Integers, memory_mb: int) -> Probe:
    """The samples of these rows (n,) as a probe set."""
    twin, samples = subject.twin, subject.samples
    images = torch.tensor(samples.images[rows], device=twin.device)
    low, high = map(torch.tensor, image_layout.valid_range(samples.images))
    return Probe(
        twin=twin,
        images=images,
        labels=torch.tensor(samples.labels[rows], device=twin.device),
        low=low.to(twin.device),
        high=high.to(twin.device),
        most=images_that_fit(twin, images, memory_mb),
    )


def balanced(samples: CleanSamples, logits: Floats, count: int, seed: int) -> Integers:
    """Indices of up to `count` correctly classified samples, as many of each class as there are."""
    order = np.random.default_rng(seed).permutation(len(samples))
    order = order[logits[order].argmax(1) == samples.labels[order]]
    labels = samples.labels[order]
    seen: Counter[int] = Counter()
    turn = np.empty(len(labels), np.int64)
    for place, label in enumerate(labels.tolist()):
        turn[place] = seen[label]
        seen[label] += 1
    chosen: Integers = order[np.argsort(turn, kind="stable")][:count]
    return chosen
