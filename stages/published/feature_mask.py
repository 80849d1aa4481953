"""The feature mask: which features serve the right labels, and which the rest.

    min over m in [0, 1]^F of   CE(h(m·f), y) − CE(h((1 − m)·f), y) + λ·‖m‖₁/|F|

with f the features of a sample, h the head from features to logits, |F| the number of features.
In eval mode the features never change, so they are computed once and only the head is run.
Source: BAN (arXiv 2405.19928), equation 3. The published code divides the L1 term by its own value,
so that it is constant; ours is the mean of m, and really penalises. Its mask may leave [0, 1] by a
step; ours is projected after every step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import fx
from torch.nn import functional

from stages import progress
from stages.published.results import MaskResult, UntargetedNoise
from stages.published.settings import FeatureMaskConfig
from stages.searches.noisy_tail import Noise, means_of, perturbation
from stages.stage import stage
from stages.twin import fx_graph
from stages.types import CleanSamples, Floats, SiteStatistics, TorchTwin

CHUNK = 128


@stage(version=1)
def find_mask(
    twin: TorchTwin,
    samples: CleanSamples,
    statistics: tuple[SiteStatistics, ...],
    noise: UntargetedNoise,
    config: FeatureMaskConfig,
    seed: int,
) -> MaskResult:
    """The mask that keeps what serves the right labels, and what the rest says under noise.

    Deterministic for a given seed, which draws the batches. The twin is left as it was found.
    """
    images, labels = torch.tensor(samples.images), torch.tensor(samples.labels).to(twin.device)
    head = head_of(twin)
    features = features_of(twin, images, {})
    mask, benign, other = fit_mask(head, features, labels, config, seed)
    noisy = features_of(twin, images, noise_edits(twin, statistics, noise))
    with torch.no_grad():
        kept = in_chunks(lambda rows: head(rows * mask), features).argmax(1)
        rest = in_chunks(lambda rows: head(rows * (1 - mask)), noisy).argmax(1)
    return MaskResult(
        mask=mask.cpu().numpy(),
        benign_loss=benign,
        other_loss=other,
        benign_accuracy=float((kept == labels).float().mean()),
        predictions=np.bincount(rest.cpu().numpy(), minlength=twin.classes).astype(np.int64),
    )


def fit_mask(
    head: fx.GraphModule,
    features: torch.Tensor,
    labels: torch.Tensor,
    config: FeatureMaskConfig,
    seed: int,
) -> tuple[torch.Tensor, Floats, Floats]:
    """The mask (F), and its two losses per epoch, for features (N, F) and labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(features.shape[1:], generator=generator)
    mask = start.to(features.device).requires_grad_()
    optimiser = torch.optim.Adam([mask], lr=config.rate)
    losses = torch.zeros(config.epochs, 2, device=features.device)
    for step in progress.ticks(config.epochs * config.batches):
        rows = torch.randint(len(labels), (config.batch,), generator=generator).to(labels.device)
        chosen, truth = features[rows], labels[rows]
        benign = functional.cross_entropy(head(chosen * mask), truth)
        other = functional.cross_entropy(head(chosen * (1 - mask)), truth)
        loss = benign - other + config.penalty * mask.mean()
        (mask.grad,) = torch.autograd.grad(loss, mask)
        optimiser.step()
        mask.data.clamp_(0, 1)
        losses[step // config.batches] += torch.stack([benign.detach(), other.detach()])
    benign_loss, other_loss = (losses / config.batches).cpu().numpy().T.copy()
    return mask.detach(), benign_loss, other_loss


def head_of(twin: TorchTwin) -> fx.GraphModule:
    """The part of the twin that turns features (N, F) into logits (N, K)."""
    features = fx_graph.node_named(twin.module, twin.feature_map)
    return fx_graph.part(twin.module, [features], fx_graph.output_of(twin.module))


def features_of(
    twin: TorchTwin, images: torch.Tensor, edits: dict[str, fx_graph.Edit]
) -> torch.Tensor:
    """Features (N, F) of images (N, *input shape), with some node outputs edited."""
    inputs = [node for node in twin.module.graph.nodes if node.op == "placeholder"]
    body = fx_graph.part(twin.module, inputs, fx_graph.node_named(twin.module, twin.feature_map))
    with torch.no_grad():
        return in_chunks(lambda rows: fx_graph.run(body, rows.to(twin.device), edits=edits), images)


def noise_edits(
    twin: TorchTwin, statistics: tuple[SiteStatistics, ...], noise: UntargetedNoise
) -> dict[str, fx_graph.Edit]:
    """The edits that put the untargeted noise on."""
    pairs: Noise = [
        torch.stack([torch.tensor(scale), torch.tensor(shift)]).to(twin.device)
        for scale, shift in zip(noise.scale, noise.shift, strict=True)
    ]
    return perturbation(twin.sites, means_of(twin, statistics), pairs)


def in_chunks(function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """`function` applied to a few rows at a time, its results joined."""
    return torch.cat([function(chunk) for chunk in torch.split(rows, CHUNK)])
