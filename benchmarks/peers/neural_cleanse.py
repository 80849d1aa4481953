"""Neural Cleanse: the class that a much smaller trigger reaches than the others.

For every class t, over a mask m (1, H, W) and a pattern p (C, H, W),

    min   CE(h((1 − m)·x + m·p), t) + cost·‖m‖₁

where the cost follows the success: it doubles while the trigger succeeds and falls by 2^1.5 while
it fails. The size of a class is the smallest ‖m‖₁ that succeeded on 99 % of the images. Its
anomaly index is (median − size) / (1.4826·MAD) over classes; the paper flags an index above 2.
Source: Wang et al., Neural Cleanse, IEEE S&P 2019, sections IV and V; settings of the authors'
example for GTSRB. Deviations:
- 500 Adam steps per class instead of at most 1,000 rounds of 31 steps, and therefore success is
  judged, and cost and early stop updated, after every 4 steps instead of every 31.
- Batches are drawn with replacement from the clean samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from benchmarks.peers import Finding, pixels
from stages.types import CleanSamples, Floats, TorchTwin

NORMAL = 1.4826  # median absolute deviations per standard deviation of a normal distribution
SMALLEST = 1e-6  # a MAD of zero would divide by zero


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of Neural Cleanse. Source: the authors' GTSRB example, unless said otherwise."""

    steps: int = 500
    """Adam steps per class, at most. Published: 31,000, with early stop."""
    window: int = 4
    """Steps over which success and size are averaged before the cost moves. Published: 31."""
    batch: int = 32
    """Images per step."""
    rate: float = 0.1
    """Adam's learning rate."""
    betas: tuple[float, float] = (0.5, 0.9)
    """Adam's decay rates."""
    success: float = 0.99
    """Share of images that must go to the class."""
    cost: float = 1e-3
    """Weight of the mask's size once the trigger succeeds; zero before."""
    multiplier: float = 2.0
    """Factor by which the cost rises; it falls by its power 1.5."""
    patience: int = 5
    """Windows in a row before the cost moves."""
    stop_patience: int = 25
    """Windows without a smaller mask before a class is done, once the cost rose and fell."""


def find(twin: TorchTwin, samples: CleanSamples, config: Config, seed: int) -> Finding:
    """The class with the smallest trigger; `per_class` and score are anomaly indices."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.tensor(samples.images, device=twin.device)
    sizes = [
        smallest_trigger(twin, images, target, config, generator) for target in range(twin.classes)
    ]
    indices = anomaly_indices(np.array(sizes))
    suspected = int(indices.argmax())
    return Finding(per_class=indices, score=float(indices[suspected]), suspected_class=suspected)


def anomaly_indices(sizes: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Floats:
    """How many robust deviations each size (K,) lies below the median; negative above it."""
    median = np.median(sizes)
    deviation = NORMAL * np.median(np.abs(sizes - median))
    indices: Floats = ((median - sizes) / max(deviation, SMALLEST)).astype(np.float32)
    return indices


def smallest_trigger(
    twin: TorchTwin,
    images: torch.Tensor,
    target: int,
    config: Config,
    generator: torch.Generator,
) -> float:
    """‖m‖₁ of the smallest mask that sends images (N, C, H, W) to `target`; the last if none."""
    search = Search(twin, images, target, config, generator)
    smallest, size, waited = float("inf"), float("nan"), 0
    for _ in range(max(1, config.steps // config.window)):
        size, success = search.window()
        succeeded = success >= config.success
        waited += 1
        if smallest == float("inf") or (succeeded and size < smallest):
            waited = 0
        if succeeded:
            smallest = min(smallest, size)
        if search.cost.settled and waited >= config.stop_patience:
            break
        search.cost.follow(succeeded=succeeded)
    return size if smallest == float("inf") else smallest


class Search:
    """The state of one class's trigger: mask and pattern, their optimiser, and the cost."""

    def __init__(
        self,
        twin: TorchTwin,
        images: torch.Tensor,
        target: int,
        config: Config,
        generator: torch.Generator,
    ) -> None:
        self.module = twin.module
        self.images = images
        self.pixels = pixels.measure(images)
        self.config = config
        self.generator = generator
        self.target = torch.full((config.batch,), target, device=images.device)
        self.mask = self._start(1, *images.shape[2:])
        self.pattern = self._start(*images.shape[1:])
        self.cost = Cost(config)
        self.optimiser = torch.optim.Adam(
            [self.mask, self.pattern], lr=config.rate, betas=config.betas
        )

    def _start(self, *shape: int) -> torch.Tensor:
        """Unbounded values whose `bounded` is uniform in [0, 1]."""
        unit = torch.rand(shape, generator=self.generator).clamp(1e-6, 1 - 1e-6)
        return torch.atanh(2 * unit - 1).to(self.images.device).requires_grad_()

    def window(self) -> tuple[float, float]:
        """Mean ‖m‖₁ and mean success over a window of steps."""
        found = torch.stack([self.step() for _ in range(self.config.window)])
        size, success = found.mean(0).tolist()
        return size, success

    def step(self) -> torch.Tensor:
        """One step on a batch drawn with replacement: ‖m‖₁ and success, both before it."""
        rows = torch.randint(len(self.images), (self.config.batch,), generator=self.generator)
        mask, pattern = bounded(self.mask), self.pixels.from_unit(bounded(self.pattern))
        images = self.images[rows.to(self.images.device)]
        logits = self.module(torch.lerp(images, pattern, mask))
        size = mask.sum()
        loss = functional.cross_entropy(logits, self.target) + self.cost.value * size
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        success = (logits.argmax(1) == self.target).float().mean()
        return torch.stack([size.detach(), success])


def bounded(values: torch.Tensor) -> torch.Tensor:
    """Values mapped to [0, 1] by the hyperbolic tangent."""
    return torch.tanh(values) / 2 + 0.5


class Cost:
    """The weight of the mask's size: `value` is zero until the trigger first succeeds."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.value = 0.0
        self.streak = 0
        self.rose = self.fell = False

    @property
    def settled(self) -> bool:
        """Whether it has both risen and fallen."""
        return self.rose and self.fell

    def follow(self, *, succeeded: bool) -> None:
        """Moves the cost after `patience` successes, or failures, in a row."""
        self.streak = max(self.streak, 0) + 1 if succeeded else min(self.streak, 0) - 1
        if abs(self.streak) < self.config.patience:
            return
        self.streak = 0
        if succeeded:
            self._rise()
        elif self.value:
            self.value /= self.config.multiplier**1.5
            self.fell = True

    def _rise(self) -> None:
        if self.value:
            self.value *= self.config.multiplier
            self.rose = True
        else:
            self.value = self.config.cost
