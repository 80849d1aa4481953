"""Adversarial neuron noise: targeted at every class at once, and untargeted as in the paper.

Both climb by projected sign-gradient steps. With f the twin under noise n = (δ, ξ),

    targeted:    n ← clip(n + a·sign ∇ mean margin_t(f(n)), ±ε)   for every class t,
    untargeted:  n ← clip(n + a·sign ∇ CE(f(n), y), ±ε).

The targeted bound ε grows from step to step, so one run yields the whole curve of flips against ε,
and no ε has to be guessed for a model nobody has seen before: classes are compared at the bound
that brings the usual one half the way. Only the earlier sites are perturbed, where noise is most
like a trigger.
Source: BAN (arXiv 2405.19928), equation 2. The published code does not clip, and starts anew for
every batch; the targeted form, the growing bound and the worst source classes are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from stages import progress, targets
from stages.screen import ScreenConfig
from stages.stage import stage
from stages.tail import Noise, NoisyTail, balanced, climb
from stages.types import (
    CleanSamples,
    Floats,
    PreconditionResult,
    SiteStatistics,
    TargetedNoise,
    TorchTwin,
    UntargetedNoise,
)


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Settings of the neuron noise."""

    samples: int = 16
    """Clean samples, balanced over the classes, that targeted noise is searched on."""
    brief_samples: int = 3
    """The same where there are so many classes that they are screened."""
    smallest: float = 0.01
    """First bound ε of the targeted sweep."""
    largest: float = 0.5
    """Last bound ε of the targeted sweep."""
    sweep: int = 8
    """Bounds in the sweep, in geometric progression, one gradient step each."""
    rate: float = 0.5
    """Length a of a targeted step, as a share of the current ε."""
    depth: float = 0.5
    """Share of the sites, from the input on, that targeted noise is put at, at least one. Deeper
    noise feeds natural favourites. Chosen on tuning and calibration models."""
    level: float = -0.5
    """The verdict looks at the bound ε under which the median class's margin reaches this, in clean
    leads: every net bears another ε. Chosen on tuning and calibration models."""
    typical_flip: float = 0.05
    """The ε that suits the model: the first at which the median class has flipped this share."""
    resisting: float = 0.25
    """Share of the source classes, those that flip least, that `worst_source` looks at."""
    epsilon: float | None = None
    """Bound ε of the untargeted noise; none given: the ε that suits the model. BAN uses 0.3."""
    steps: int = 30
    """Steps of the untargeted noise. Source: BAN, README settings."""
    untargeted_samples: int = 32
    """Clean samples, balanced over the classes, that untargeted noise is searched on."""
    memory_mb: int = 512
    """Activations that may be held at once, in MiB; more classes are done in groups."""


@stage(version=5)
def find_targeted_noise(
    twin: TorchTwin,
    samples: CleanSamples,
    statistics: tuple[SiteStatistics, ...],
    clean: PreconditionResult,
    config: NoiseConfig,
    screening: ScreenConfig,
    seed: int,
) -> TargetedNoise:
    """How easily growing neuron noise drags clean samples to each class.

    Deterministic for a given seed, which draws the samples. The twin is left as it was found.
    """
    count = config.brief_samples if screening.screens(twin.classes) else config.samples
    rows = balanced(samples, clean.logits, count, seed)
    images, labels = torch.tensor(samples.images[rows]), torch.tensor(samples.labels[rows])
    classes = torch.arange(twin.classes, device=twin.device)
    groups = targets.groups(twin, images, classes, config.memory_mb)
    reached = max(1, round(config.depth * len(twin.sites)))
    early, statistics = replace(twin, sites=twin.sites[:reached]), statistics[:reached]
    step_done = progress.counter(len(groups) * config.sweep)
    unit = targets.clean_lead(clean.logits)
    sweeps = [
        _sweep(NoisyTail(early, statistics, images, len(group)), group, labels, config, step_done)
        for group in groups
    ]
    flips = np.concatenate([each.flips for each in sweeps], axis=1)
    chosen = _suiting(flips, config.typical_flip)
    by_site = (np.concatenate([each.by_site[chosen] for each in sweeps]) / unit).astype(np.float32)
    return TargetedNoise(
        epsilons=_bounds(config),
        flips=flips,
        worst_source=np.concatenate([each.worst_source for each in sweeps], axis=1),
        pull=(np.concatenate([each.pull for each in sweeps], axis=1) / unit).astype(np.float32),
        chosen=chosen,
        by_site=np.pad(by_site, ((0, 0), (0, len(twin.sites) - reached))),
    )


@dataclass(frozen=True, kw_only=True)
class _Sweep:
    """The rows of `TargetedNoise` for one group of g classes; `by_site` is (S, g, sites)."""

    flips: Floats
    worst_source: Floats
    pull: Floats
    by_site: Floats


def _sweep(
    tail: NoisyTail,
    group: torch.Tensor,
    labels: torch.Tensor,
    config: NoiseConfig,
    step_done: Callable[[], None],
) -> _Sweep:
    labels = labels.to(tail.device)
    others = labels != group[:, None]
    noise = tail.silence()
    added = torch.zeros(len(group), len(noise), device=tail.device)
    _, _, gradient = _pull(tail, noise, group, others)
    flips, worst, pulls, by_site = (list[torch.Tensor]() for _ in range(4))
    for bound in _bounds(config).tolist():
        moved = climb(noise, gradient, config.rate * bound, bound)
        added = added + _effect(noise, moved, gradient)
        noise = moved
        logits, pull, gradient = _pull(tail, noise, group, others)
        flipped = logits.argmax(-1) == group[:, None]
        flips.append(targets.mean_over(flipped.float(), others))
        worst.append(_resisting(flipped, labels, group, config.resisting))
        pulls.append(pull)
        by_site.append(added)
        step_done()
    return _Sweep(
        flips=_rows(flips), worst_source=_rows(worst), pull=_rows(pulls), by_site=_rows(by_site)
    )


def _pull(
    tail: NoisyTail, noise: Noise, group: torch.Tensor, others: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Noise]:
    """Logits (g, B, K) under the noise, the mean margin (g,) of the others, and its gradient."""
    noise = [each.requires_grad_() for each in noise]
    logits = tail.logits(noise)
    pull = targets.mean_over(targets.margins(logits, group), others)
    return logits.detach(), pull.detach(), list(torch.autograd.grad(pull.sum(), noise))


@torch.no_grad()
def _effect(before: Noise, after: Noise, gradient: Noise) -> torch.Tensor:
    """What a step adds to the pull through each site (g, sites), to first order: Σ Δn · ∇."""
    steps = zip(before, after, gradient, strict=True)
    return torch.stack([((new - old) * slope).sum((1, 2)) for old, new, slope in steps], dim=1)


def judged_margins(targeted: TargetedNoise, config: NoiseConfig) -> Floats:
    """The margins (K,) that count in the verdict, in clean leads: those at the bound ε that carries
    the median class to `level`, interpolated between bounds, or at the nearest one of the sweep.
    """
    usual = np.maximum.accumulate(np.median(targeted.pull, axis=1))
    found: Floats = np.array(
        [np.interp(config.level, usual, each) for each in targeted.pull.T], dtype=np.float32
    )
    return found


def _resisting(
    flipped: torch.Tensor, labels: torch.Tensor, group: torch.Tensor, share: float
) -> torch.Tensor:
    """Share flipped (g,) among the source classes that flip least.

    A trigger works from every source; classes that merely resemble each other flip few sources.
    """
    sources = torch.unique(labels)
    member = (labels[:, None] == sources).float()
    by_source = flipped.float() @ member / member.sum(0)
    by_source = by_source.masked_fill(sources == group[:, None], torch.inf)
    few = max(1, int(share * (len(sources) - 1)))
    lowest: torch.Tensor = torch.sort(by_source, dim=1).values
    return lowest[:, :few].mean(1)


def _rows(values: list[torch.Tensor]) -> Floats:
    rows: Floats = torch.stack(values).detach().cpu().numpy()
    return rows


def _bounds(config: NoiseConfig) -> Floats:
    return np.geomspace(config.smallest, config.largest, config.sweep).astype(np.float32)


def _suiting(flips: Floats, typical: float) -> int:
    """Index of the first bound at which the median class has flipped; else of the last."""
    reached = np.median(flips, axis=1) >= typical
    return int(reached.argmax()) if reached.any() else len(flips) - 1


@stage(version=2)
def find_untargeted_noise(
    twin: TorchTwin,
    samples: CleanSamples,
    statistics: tuple[SiteStatistics, ...],
    clean: PreconditionResult,
    config: NoiseConfig,
    epsilon: float,
    seed: int,
) -> UntargetedNoise:
    """The noise within ±epsilon that raises the loss on clean samples, and what it does to them.

    Deterministic for a given seed, which draws the samples and the random start. The twin is left
    as it was found. Source: BAN, equation 2, with the projection the published code leaves out.
    """
    rows = balanced(samples, clean.logits, config.untargeted_samples, seed)
    labels = torch.tensor(samples.labels[rows], device=twin.device)
    tail = NoisyTail(twin, statistics, torch.tensor(samples.images[rows]), copies=1)
    generator = torch.Generator().manual_seed(seed)
    noise = [
        (epsilon * (2 * torch.rand(each.shape, generator=generator) - 1)).to(twin.device)
        for each in tail.silence()
    ]
    losses = []
    for _ in progress.ticks(config.steps):
        noise = [each.requires_grad_() for each in noise]
        loss = functional.cross_entropy(tail.logits(noise)[0], labels)
        losses.append(loss.item())
        noise = climb(
            noise, list(torch.autograd.grad(loss, noise)), 2 * epsilon / config.steps, epsilon
        )
    with torch.no_grad():
        found = tail.logits(noise)[0].argmax(-1)
    return UntargetedNoise(
        epsilon=epsilon,
        scale=tuple(each[0, 0].cpu().numpy() for each in noise),
        shift=tuple(each[0, 1].cpu().numpy() for each in noise),
        loss=np.array(losses, dtype=np.float32),
        predictions=np.bincount(found.cpu().numpy(), minlength=twin.classes).astype(np.int64),
        accuracy=float((found == labels).float().mean()),
    )
