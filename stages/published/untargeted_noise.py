"""Untargeted neuron noise, as in the paper: it raises the loss on clean samples.

    n ← clip(n + a·sign ∇ CE(f(n), y), ±ε)

Source: BAN (arXiv 2405.19928), equation 2, with the projection that the published code leaves out.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from stages import progress
from stages.published.results import UntargetedNoise
from stages.published.settings import UntargetedNoiseConfig
from stages.searches.noisy_tail import NoisyTail, sign_gradient_step
from stages.searches.probe import balanced
from stages.searches.search import Subject
from stages.stage import stage


@stage(version=3)
def find_untargeted_noise(
    subject: Subject, config: UntargetedNoiseConfig, epsilon: float, seed: int
) -> UntargetedNoise:
    """The noise within ±epsilon that raises the loss on clean samples, and what it does to them.

    Deterministic for a given seed, which draws the samples and the random start. The twin is left
    as it was.
    """
    twin, samples = subject.twin, subject.samples
    rows = balanced(samples, subject.clean.logits, config.samples, seed)
    labels = torch.tensor(samples.labels[rows], device=twin.device)
    tail = NoisyTail(twin, subject.sites, torch.tensor(samples.images[rows]))
    generator = torch.Generator().manual_seed(seed)
    noise = [
        (epsilon * (2 * torch.rand(each.shape, generator=generator) - 1)).to(twin.device)
        for each in tail.silence(1)
    ]
    losses = []
    for _ in progress.ticks(config.steps):
        noise = [each.requires_grad_() for each in noise]
        loss = functional.cross_entropy(tail.logits(noise)[0], labels)
        losses.append(loss.detach())
        slopes = list(torch.autograd.grad(loss, noise))
        noise = sign_gradient_step(noise, slopes, 2 * epsilon / config.steps, epsilon)
    with torch.no_grad():
        predicted = tail.logits(noise)[0].argmax(-1)
    counts = np.bincount(predicted.cpu().numpy(), minlength=twin.classes)
    return UntargetedNoise(
        epsilon=epsilon,
        scale=tuple(each[0, 0].cpu().numpy() for each in noise),
        shift=tuple(each[0, 1].cpu().numpy() for each in noise),
        loss=torch.stack(losses).cpu().numpy(),
        predictions=counts.astype(np.int64),
        accuracy=float((predicted == labels).float().mean()),
    )
