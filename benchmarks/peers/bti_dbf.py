"""BTI-DBF: the class that images go to when all but their benign features are changed.

1. A mask m over the features f keeps what serves the right labels:
   min CE(h(m·f), y) − CE(h((1 − m)·f), y).
2. A generator g, pretrained to reproduce the clean samples, is trained: while the image changes by
   more than its bound, or the benign features m·f by more than theirs, only the image's change is
   minimised; otherwise the change of (1 − m)·f is maximised.
3. The label most generated images get is the suspected class. Its share is the score; no threshold
   is published.

Source: Xu et al., BTI-DBF, ICLR 2024, and the settings of the authors' code. Deviations:
- A round is `batches` batches drawn with replacement without augmentation, not a pass over 5 % of
  the training set: at batch 128 and 20 batches it is as long as theirs on CIFAR-10.
- The generator is pretrained as a plain autoencoder, without their terms on the classifier's
  features and predictions. It then depends on the samples alone and is trained once for all
  models judged with the same samples; their code does it per model.
- The U-Net starts at 16 channels and halves its size three times, instead of 32 and four, and ends
  in a sigmoid onto the valid range.
- The change of an image is measured in units of the clean deviation of each channel, as their
  normalisation of CIFAR-10 does.
- While the rest of the features is maximised, the code also minimises 0.01 times the benign
  features' change; it is left out. Without a sparsity term m comes close to one on small networks,
  where that term would outweigh the other and hold the generator at the identity.
- In stage 1 only BatchNorm modules are in train mode. Where a twin has none, its features never
  change and are computed once.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import fx
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.peers import Finding, histogram, pixels
from benchmarks.peers.unet import UNet
from stages.published.feature_mask import head_of, in_chunks
from stages.twin import fx_graph
from stages.types import CleanSamples, TorchTwin


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of BTI-DBF. Source: the authors' README and code, unless said otherwise."""

    mask_rounds: int = 20
    """Rounds of the mask."""
    rounds: int = 30
    """Rounds of the generator."""
    pretraining_rounds: int = 50
    """Rounds of the autoencoder."""
    batches: int = 20
    """Steps per round: 5 % of CIFAR-10 in batches of 128."""
    batch: int = 128
    """Samples per step."""
    mask_rate: float = 0.01
    """Adam's learning rate for the mask."""
    rate: float = 1e-3
    """Adam's learning rate for the generator."""
    image_bound: float = 0.3
    """Bound on the mean squared change of a pixel, in units of the channel's deviation."""
    feature_bound: float = 5.0
    """Bound on the mean squared change of the benign features."""
    jitter: float = 0.03
    """Standard deviation of the noise on the images whose labels are counted, in deviations."""
    width: int = 16
    """Channels of the U-Net at full size. Published: 32."""
    levels: int = 3
    """Halvings of the U-Net. Published: 4."""


def find(twin: TorchTwin, samples: CleanSamples, config: Config, seed: int) -> Finding:
    """The label most generated images get; `per_class` is what each label's share gained."""
    generated = copy.deepcopy(pretrained(Pretraining.of(twin, samples, config, seed)))
    run = Inversion(twin, samples, config, seed, generated)
    for _ in range(config.mask_rounds * config.batches):
        run.mask_step()
    run.fix_features()
    for _ in range(config.rounds * config.batches):
        run.generator_step()
    return histogram.finding(histogram.clean_shares(twin, samples), histogram.shares(run.logits()))


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """What a pretrained generator depends on; the samples are known by their digest."""

    digest: str
    width: int
    levels: int
    steps: int
    batch: int
    rate: float
    seed: int
    device: torch.device
    samples: CleanSamples = field(compare=False, repr=False)

    @classmethod
    def of(cls, twin: TorchTwin, samples: CleanSamples, config: Config, seed: int) -> Pretraining:
        """The pretraining that fits these samples and settings."""
        return cls(
            digest=samples.digest,
            width=config.width,
            levels=config.levels,
            steps=config.pretraining_rounds * config.batches,
            batch=config.batch,
            rate=config.rate,
            seed=seed,
            device=twin.device,
            samples=samples,
        )


@lru_cache(maxsize=4)
def pretrained(settings: Pretraining) -> UNet:
    """A U-Net that reproduces the clean samples. Remembered: copy it before training it on."""
    images = torch.tensor(settings.samples.images, device=settings.device)
    unit, deviation = _unit_and_deviation(images)
    generator = torch.Generator().manual_seed(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        net = UNet(images.shape[1], settings.width, settings.levels).to(settings.device)
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.rate)
    for _ in range(settings.steps):
        rows = torch.randint(len(unit), (settings.batch,), generator=generator).to(unit.device)
        loss = ((net(unit[rows]) - unit[rows]) / deviation).square().mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return net


def _unit_and_deviation(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in [0, 1] and the deviation of their channels in the same unit."""
    valid = pixels.measure(images)
    return valid.to_unit(images), valid.deviation / valid.width


class Inversion:
    """The state of the trigger inversion: a copy of the twin, the mask, and the generator."""

    def __init__(
        self, twin: TorchTwin, samples: CleanSamples, config: Config, seed: int, net: UNet
    ) -> None:
        twin = replace(twin, module=copy.deepcopy(twin.module))
        inputs = [node for node in twin.module.graph.nodes if node.op == "placeholder"]
        features = fx_graph.node_named(twin.module, twin.feature_map)
        self.config = config
        self.body = fx_graph.part(twin.module, inputs, features).eval()
        self.head = head_of(twin).eval()
        self.images = torch.tensor(samples.images, device=twin.device)
        self.labels = torch.tensor(samples.labels, device=twin.device)
        self.pixels = pixels.measure(self.images)
        self.generator = torch.Generator().manual_seed(seed)
        self.features = self._features()
        self.drifts = set_norms([self.body, self.head], training=True)
        start = torch.randn(self.features.shape[1:], generator=self.generator)
        self.raw_mask = start.to(twin.device).requires_grad_()
        self.mask_optimiser = torch.optim.Adam([self.raw_mask], lr=config.mask_rate)
        self.net = net.train()
        self.optimiser = torch.optim.Adam(net.parameters(), lr=config.rate)

    def _features(self) -> torch.Tensor:
        with torch.no_grad():
            return in_chunks(self.body, self.images)

    def draw(self) -> torch.Tensor:
        """Rows (B,) of the next batch, drawn with replacement."""
        rows = torch.randint(len(self.images), (self.config.batch,), generator=self.generator)
        return rows.to(self.images.device)

    @property
    def mask(self) -> torch.Tensor:
        """The mask over the features of one sample, in [0, 1]."""
        return (torch.tanh(self.raw_mask) + 1) / 2

    def mask_step(self) -> None:
        """One step of the mask, which moves the running statistics of a twin that has any."""
        rows = self.draw()
        with torch.no_grad():
            features = self.body(self.images[rows]) if self.drifts else self.features[rows]
        mask, labels = self.mask, self.labels[rows]
        benign = functional.cross_entropy(self.head(features * mask), labels)
        other = functional.cross_entropy(self.head(features * (1 - mask)), labels)
        self.mask_optimiser.zero_grad()
        torch.autograd.backward(benign - other)
        self.mask_optimiser.step()

    def fix_features(self) -> None:
        """Ends the training of the mask: from here on the classifier and the mask stay."""
        set_norms([self.body, self.head], training=False)
        self.raw_mask = self.raw_mask.detach()
        if self.drifts:
            self.features = self._features()

    def generator_step(self) -> None:
        """One step of the generator."""
        rows = self.draw()
        loss = self._loss(self.generated(self.images[rows]), rows)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()

    def generated(self, images: torch.Tensor) -> torch.Tensor:
        """What the generator makes of images (N, C, H, W), in the valid range."""
        made: torch.Tensor = self.net(self.pixels.to_unit(images))
        return self.pixels.from_unit(made)

    def _loss(self, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        change = ((images - self.images[rows]) / self.pixels.deviation).square().mean()
        if change > self.config.image_bound:
            return change
        moved = (self.body(images) - self.features[rows]).square()
        benign = (self.mask.square() * moved).mean()
        if benign > self.config.feature_bound:
            return change
        other: torch.Tensor = ((1 - self.mask).square() * moved).mean()
        return -other

    @torch.no_grad()
    def logits(self) -> torch.Tensor:
        """Logits (N, K) of what the generator makes of all samples, slightly jittered."""
        self.net.eval()
        noise = torch.randn(self.images.shape, generator=self.generator).to(self.images.device)
        images = self.images + self.config.jitter * self.pixels.deviation * noise
        return in_chunks(self._generated_logits, images)

    def _generated_logits(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(self.generated(images)))
        return logits


def set_norms(modules: list[fx.GraphModule], *, training: bool) -> bool:
    """Puts every BatchNorm into train or eval mode; whether there is any."""
    norms = [
        each for module in modules for each in module.modules() if isinstance(each, _BatchNorm)
    ]
    for norm in norms:
        norm.train(training)
    return bool(norms)
