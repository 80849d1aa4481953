"""The published algorithm, as closely as a twin allows, for comparison only.

It keeps what the authors' code does: train mode while mask and noise are fitted, a mask penalty
divided by its own detached value, noise that starts anew for every batch and is not clipped, so
that only the last batch's noise remains. It differs where a twin must: noise sits at the twin's
noise sites (exactly on γ and β where BatchNorm was kept), and mask, noise and histogram share the
clean samples. The paper states no threshold, so no verdict follows from it.
Source: BAN (arXiv 2405.19928), algorithm 1, and xiaoyunxxy/ban at commit 8a0f918.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import fx
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from stages import progress
from stages.published.results import BanResult
from stages.published.settings import BanConfig
from stages.searches.noisy_tail import Noise, perturbation
from stages.stage import stage
from stages.twin import fx_graph
from stages.types import CleanSamples, NoiseSite, SiteStatistics, TorchTwin


@stage(version=2)
def run_ban(
    twin: TorchTwin,
    samples: CleanSamples,
    statistics: tuple[SiteStatistics, ...],
    config: BanConfig,
    seed: int,
) -> BanResult:
    """What the published algorithm reports for the clean samples. Works on a copy of the twin."""
    run = Ban(twin, samples, statistics, config, seed)
    step_done = progress.counter(
        config.epochs * config.batches + config.noise_batches * config.steps
    )
    for _ in range(config.epochs * config.batches):
        run.mask_step()
        step_done()
    for _ in range(config.noise_batches):
        run.restart_noise()
        for _ in range(config.steps):
            run.noise_step()
            step_done()
    return run.result()


class Ban:
    """The state of the published algorithm: mask, noise, and a copy of the twin in train mode."""

    def __init__(
        self,
        twin: TorchTwin,
        samples: CleanSamples,
        statistics: tuple[SiteStatistics, ...],
        config: BanConfig,
        seed: int,
    ) -> None:
        module = copy.deepcopy(twin.module).train()
        inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
        features = fx_graph.node_named(module, twin.feature_map)
        self.config = config
        self.twin = twin
        self.body = fx_graph.part(module, inputs, features).train()
        self.head = fx_graph.part(module, [features], fx_graph.output_of(module)).train()
        self.images = torch.tensor(samples.images)
        self.labels = torch.tensor(samples.labels)
        self.generator = torch.Generator().manual_seed(seed)
        self.means = [
            _center(module, site, each).to(twin.device)
            for site, each in zip(twin.sites, statistics, strict=True)
        ]
        self.draw()
        with torch.no_grad():
            shape = self.body(self.batch[:2]).shape[1:]
        self.mask = torch.rand(shape, generator=self.generator).to(twin.device).requires_grad_()
        self.optimiser = torch.optim.Adam([self.mask], lr=config.rate)
        self.noise: Noise = []

    def draw(self) -> None:
        """Draws the next batch with replacement."""
        rows = torch.randint(len(self.labels), (self.config.batch,), generator=self.generator)
        self.batch = self.images[rows].to(self.twin.device)
        self.truth = self.labels[rows].to(self.twin.device)

    def mask_step(self) -> None:
        """One step of: CE(m·f) − CE((1 − m)·f) + λ‖m‖₁ / value(‖m‖₁), clamped before the step."""
        self.draw()
        features = self.body(self.batch)
        self.mask.data.clamp_(0, 1)
        size = self.mask.abs().sum()
        loss = (
            functional.cross_entropy(self.head(features * self.mask), self.truth)
            - functional.cross_entropy(self.head(features * (1 - self.mask)), self.truth)
            + self.config.penalty * size / size.detach()
        )
        (self.mask.grad,) = torch.autograd.grad(loss, self.mask)
        self.optimiser.step()

    def restart_noise(self) -> None:
        """Draws the next batch and noise uniform in ±ε."""
        self.draw()
        self.noise = [
            self.config.epsilon
            * (2 * torch.rand(2, site.channels, generator=self.generator) - 1).to(self.twin.device)
            for site in self.twin.sites
        ]

    def noise_step(self) -> None:
        """n ← n + ε/steps · sign ∇ CE, without projection."""
        noise = [each.requires_grad_() for each in self.noise]
        loss = functional.cross_entropy(self.logits(self.batch, noise), self.truth)
        length = self.config.epsilon / self.config.steps
        slopes = torch.autograd.grad(loss, noise)
        self.noise = [
            each.detach() + length * slope.sign() for each, slope in zip(noise, slopes, strict=True)
        ]

    def logits(self, images: torch.Tensor, noise: Noise) -> torch.Tensor:
        """Logits (B, K) under the noise, with all features."""
        return fx_graph.run(self.head, self.features(images, noise))

    def features(self, images: torch.Tensor, noise: Noise) -> torch.Tensor:
        """Features (B, F) under the noise."""
        edits = perturbation(self.twin.sites, self.means, noise)
        return fx_graph.run(self.body, images, edits=edits)

    @torch.no_grad()
    def result(self) -> BanResult:
        """The histogram with the noise on and the benign features masked out, in eval mode."""
        self.body.eval()
        self.head.eval()
        found = torch.cat(
            [
                self.head(self.features(batch.to(self.twin.device), self.noise) * (1 - self.mask))
                for batch in torch.split(self.images, self.config.batch)
            ]
        ).argmax(1)
        counts = np.bincount(found.cpu().numpy(), minlength=self.twin.classes).astype(np.int64)
        return BanResult(
            predictions=counts,
            share=float(counts.max() / counts.sum()),
            accuracy=float((found.cpu() == self.labels).float().mean()),
        )


def _center(module: fx.GraphModule, site: NoiseSite, statistics: SiteStatistics) -> torch.Tensor:
    """β where BatchNorm was kept, so that the noise is exactly the paper's; else the clean mean."""
    layer = module.get_submodule(str(fx_graph.node_named(module, site.node).target))
    if isinstance(layer, _BatchNorm) and layer.bias is not None:
        return layer.bias.detach()
    return torch.tensor(statistics.mean)
