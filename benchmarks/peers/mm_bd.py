"""MM-BD: the class whose largest possible margin stands out.

For every class t, from random images x in the valid range,

    r_t = max over x of   h_t(x) − max over k ≠ t of h_k(x)

A backdoor's target has an outlying r_t. The null distribution is fitted to all but the largest of
the K statistics; p = 1 − F(r_max)^K, and the paper flags p below 0.05. No clean sample is needed:
they only give the valid range.
Source: Wang et al., MM-BD, IEEE S&P 2024 (arXiv 2205.06900), section 3, and the settings of the
authors' code. Deviations:
- Images are projected into the valid range after every step, as in the paper; the code clamps
  only what the classifier sees, so that pixels outside get no gradient. The step counts in units
  of the valid range.
- The momentum acts; in the code every step makes a new optimiser, which forgets it.
- The null is a gamma distribution with its location at zero; the code fits the location too, which
  has no maximum of the likelihood for as few points as there are classes. With one null statistic,
  or equal ones, it is the exponential distribution. Negative margins count as zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from benchmarks.peers import Finding, pixels
from stages.types import CleanSamples, Floats, TorchTwin

SMALLEST_MARGIN = 1e-6  # a gamma distribution has no negative values
SMALLEST_P = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of MM-BD. Source: the authors' code."""

    restarts: int = 30
    """Random images per class."""
    steps: int = 300
    """Ascent steps per class, at most."""
    rate: float = 1e-2
    """Length of a step per unit of gradient, in units of the valid range."""
    momentum: float = 0.2
    """Share of the last step that is taken again."""
    tolerance: float = 1e-5
    """Relative change of the summed margins below which a class is done."""


def find(twin: TorchTwin, samples: CleanSamples, config: Config, seed: int) -> Finding:
    """The class of the largest margin; `per_class` are the margins, the score is −log₁₀ p."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.tensor(samples.images, device=twin.device)
    valid = pixels.measure(images)
    margins = np.zeros(twin.classes, np.float32)
    for target in range(twin.classes):
        start = torch.rand(config.restarts, *images.shape[1:], generator=generator)
        margins[target] = largest_margin(twin, start.to(twin.device), valid, target, config)
    return Finding(
        per_class=margins,
        score=float(-np.log10(p_value(margins))),
        suspected_class=int(margins.argmax()),
    )


def largest_margin(
    twin: TorchTwin, start: torch.Tensor, valid: pixels.Pixels, target: int, config: Config
) -> float:
    """The largest margin of `target` that ascent reaches from images (R, C, H, W) in [0, 1]."""
    images = start.clone().requires_grad_()
    ascent = torch.optim.SGD([images], config.rate, momentum=config.momentum, maximize=True)
    margins, before = torch.zeros(0), float("inf")
    for _ in range(config.steps):
        margins = margins_of(twin.module(valid.from_unit(images)), target)
        total = margins.sum()
        ascent.zero_grad()
        torch.autograd.backward(total)
        ascent.step()
        images.data.clamp_(0, 1)
        now = total.item()
        if abs(now - before) < config.tolerance * abs(before) < float("inf"):
            break
        before = now
    return margins.max().item()


def margins_of(logits: torch.Tensor, target: int) -> torch.Tensor:
    """The margins (N,) of class `target` over the best other class, for logits (N, K)."""
    others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
    return logits[:, target] - others.amax(1)


def p_value(margins: Floats) -> float:
    """The probability that the largest of K margins is as large as it is, under the null."""
    ordered = np.sort(margins.astype(np.float64)).clip(min=SMALLEST_MARGIN)
    null, largest = ordered[:-1], ordered[-1]
    shape, scale = 1.0, null.mean()
    if np.ptp(null) > 0:
        shape, _, scale = stats.gamma.fit(null, floc=0)
    above = stats.gamma.sf(largest, shape, scale=scale)
    return max(float(-np.expm1(len(margins) * np.log1p(-above))), SMALLEST_P)
