"""Adversarial neuron noise, targeted at every class at once: how little of it carries all images.

With f the twin under noise n = (δ, ξ), projected sign-gradient steps for every class t,

    n ← clip(n + a·sign ∇ mean margin_t(f(n)), ±ε).

The bound ε grows from step to step, so one run yields the whole curve of success against ε, and no
ε has to be guessed for a model nobody has seen before: classes are compared at the bound that
brings the median one half the way. Only the earlier sites are perturbed, where noise acts most like
a trigger.
Source: BAN (arXiv 2405.19928), equation 2. The published code does not clip, and starts anew for
every batch; the targeted form, the growing bound and the worst source classes are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Annotated

import numpy as np

from stages.later import torch, without_gradients
from stages.searches import margins
from stages.searches.blocks import Block, State, advanced
from stages.searches.noisy_tail import Noise, NoisyTail, sign_gradient_step
from stages.searches.parts import rows_at_once
from stages.searches.probe import balanced
from stages.searches.search import (
    AttackSuccess,
    Effort,
    SearchResult,
    StatisticSpec,
    Subject,
    Sweep,
    most,
)
from stages.searches.success import success_of
from stages.settings import (
    Epsilon,
    Memory,
    PositiveShare,
    Rate,
    Samples,
    Share,
    bounded,
    settings,
)
from stages.types import Floats, Integers, TorchTwin, unkeyed


@settings
class NeuronNoiseConfig:
    """Settings of the targeted neuron noise."""

    samples: Samples = 16
    """Clean samples, balanced over the classes, that the noise is searched on."""
    brief_samples: Samples = 3
    """The same where there are many classes."""
    smallest: Epsilon = 0.01
    """First bound ε of the sweep."""
    largest: Epsilon = 0.5
    """Last bound ε of the sweep."""
    sweep: Annotated[int, bounded("steps", ge=2, le=1000)] = 8
    """Bounds in the sweep, in geometric progression, one gradient step each."""
    rate: Rate = 0.5
    """Length a of a step, as a share of the current ε."""
    depth: Share = 0.5
    """Share of the sites, from the input on, that noise is put at, at least one. Deeper noise feeds
    natural backdoor classes. Chosen on tuning and calibration models."""
    median_margin: Annotated[float, bounded("logit gaps", ge=-10, le=10)] = -0.5
    """The verdict looks at the bound ε under which the median class's margin reaches this, in logit
    gaps: every net bears another ε. Chosen on tuning and calibration models."""
    resisting: PositiveShare = 0.25
    """Share of the source classes, those that resist most, that the worst source looks at."""
    memory_mb: Memory = unkeyed(2048)
    """MiB of activations at once: a quarter of it for groups of classes, all of it for one."""

    def __post_init__(self) -> None:
        if self.smallest >= self.largest:
            raise ValueError(
                f"has `smallest` {self.smallest:g} and `largest` {self.largest:g}, expected the"
                " smaller first"
            )

    @property
    def brief(self) -> NeuronNoiseConfig:
        """The settings where there are many classes."""
        return replace(self, samples=self.brief_samples)

    @property
    def steps(self) -> int:
        """All steps of one class."""
        return self.sweep

    @property
    def bounds(self) -> Floats:
        """The bounds ε (S,) of the sweep."""
        return np.geomspace(self.smallest, self.largest, self.sweep).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ground:
    """What is perturbed, with the earlier sites alone, and on which samples; `gap` is the unit."""

    subject: Subject
    early: TorchTwin
    tail: NoisyTail
    images: torch.Tensor
    labels: torch.Tensor
    gap: float


NoiseState = State[NeuronNoiseConfig, _Ground]
CURVES = ("success_rate", "worst_source", "target_margin", "by_site")
"""What a block holds (g, steps, …) of every step taken."""


class NeuronNoise:
    """The search for neuron noise. A block holds per site `noise.i` and `gradient.i` (g, 2, C), and
    the curves of what was reached.
    """

    name = "neuron_noise"
    version = 6
    settings = NeuronNoiseConfig
    joint = False
    early_after: int | None = None
    statistics = (
        StatisticSpec(
            name="margin",
            unit="logit gaps",
            meaning="noise that brings the median class half the way carries images into this one",
        ),
    )

    def start(self, subject: Subject, config: NeuronNoiseConfig, seed: int) -> NoiseState:
        """A search of which no class has begun."""
        twin, samples = subject.twin, subject.samples
        rows = balanced(samples, subject.clean.logits, config.samples, seed)
        images, labels = torch.tensor(samples.images[rows]), torch.tensor(samples.labels[rows])
        reached = max(1, round(config.depth * len(twin.sites)))
        early = replace(twin, sites=twin.sites[:reached])
        ground = _Ground(
            subject=subject,
            early=early,
            tail=NoisyTail(early, subject.sites[:reached], images, config.memory_mb),
            images=images,
            labels=labels.to(twin.device),
            gap=margins.logit_gap(subject.clean.logits),
        )
        return State(config=config, seed=seed, classes=twin.classes, ground=ground)

    def at_once(self, state: NoiseState) -> int:
        """How many classes fit into the memory at once."""
        return rows_at_once(state.ground.tail.most, len(state.ground.images))

    def advance(self, state: NoiseState, classes: torch.Tensor, steps: int) -> NoiseState:
        """The state after up to `steps` more bounds of the sweep for the classes (n,)."""
        begin, climb = partial(_begin, state.ground), partial(_climb, state)
        return advanced(state, classes, steps, self.at_once(state), begin, climb)

    def reached(self, state: NoiseState) -> Floats:
        """The mean margin (K,) in logits at the last bound of each class."""
        values = [block.tensors["target_margin"][:, -1] for block in state.blocks]
        return state.per_class(values)

    def effort(self, state: NoiseState) -> Effort:
        """What it has cost so far."""
        steps = state.steps
        return Effort(steps=steps, images=steps * len(state.ground.images))

    def result(self, state: NoiseState) -> SearchResult:
        """Margins at the bound that suits the model, and the whole sweep."""
        config = state.config
        sweep = _sweep(state)
        usual = np.maximum.accumulate(np.nanmedian(sweep.target_margin, axis=1))
        margin: Floats = np.array(
            [np.interp(config.median_margin, usual, each) for each in sweep.target_margin.T],
            dtype=np.float32,
        )
        target = most(margin)
        return SearchResult(
            statistics={"margin": margin},
            targets=(target,),
            success=self._success(state, target, sweep.chosen + 1),
            effort=self.effort(state),
            sweep=sweep,
        )

    def _success(self, state: NoiseState, target: int, steps: int) -> AttackSuccess | None:
        """How often the noise for a class, after so many steps, works on other samples."""
        ground = state.ground
        sites = ground.subject.sites[: len(ground.early.sites)]
        chosen = torch.tensor([target], device=ground.subject.twin.device)

        @cache
        def noise() -> Noise:
            alone = _climb(state, _begin(ground, chosen), steps, lambda: None)
            return _listed(alone, "noise")

        def predicted(images: Floats) -> Integers:
            climbed, shown = noise(), torch.tensor(images)
            tail = NoisyTail(ground.early, sites, shown, state.config.memory_mb)
            with torch.no_grad():
                classes: Integers = tail.logits(climbed)[0].argmax(-1).cpu().numpy()
            return classes

        searched = len(ground.images)
        success = success_of(predicted, ground.subject, target, searched, state.seed)
        return success and replace(success, inside_twin=True)


def _begin(ground: _Ground, group: torch.Tensor) -> Block:
    """Silence, and where its margins would grow."""
    noise = ground.tail.silence(len(group))
    others = ground.labels != group[:, None]
    _, _, gradient = _target_margin(ground.tail, noise, group, others)
    tensors = {**_named("noise", noise), **_named("gradient", gradient)}
    return Block(classes=group, step=0, tensors=tensors)


def _climb(state: NoiseState, block: Block, steps: int, step_done: Callable[[], None]) -> Block:
    """One sign-gradient step at each of the next bounds."""
    config, ground, group = state.config, state.ground, block.classes
    others = ground.labels != group[:, None]
    noise, gradient = _listed(block, "noise"), _listed(block, "gradient")
    added = torch.zeros(len(group), len(noise), device=group.device)
    if block.step:
        added = block.tensors["by_site"][:, -1]
    curves: dict[str, list[torch.Tensor]] = {name: [] for name in CURVES}
    bounds = config.bounds[block.step : block.step + steps].tolist()
    for bound in bounds:
        moved = sign_gradient_step(noise, gradient, config.rate * bound, bound)
        added = added + _effect(noise, moved, gradient)
        noise = moved
        logits, margin, gradient = _target_margin(ground.tail, noise, group, others)
        arrived = logits.argmax(-1) == group[:, None]
        curves["success_rate"].append(margins.mean_over(arrived.float(), others))
        curves["worst_source"].append(_resisting(arrived, ground.labels, group, config.resisting))
        curves["target_margin"].append(margin)
        curves["by_site"].append(added)
        step_done()
    tensors = {**_named("noise", noise), **_named("gradient", gradient), **_longer(block, curves)}
    return replace(block, step=block.step + len(bounds), tensors=tensors)


def _longer(block: Block, curves: dict[str, list[torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The curves of a block with what came to them."""
    longer = {}
    for name, values in curves.items():
        new = torch.stack(values, dim=1) if values else None
        parts = [each for each in (block.tensors.get(name), new) if each is not None]
        if parts:
            longer[name] = torch.cat(parts, dim=1).detach()
    return longer


def _sweep(state: NoiseState) -> Sweep:
    """The curves of all classes up to the last bound that all that began have reached."""
    config, gap = state.config, state.ground.gap
    length = min(block.step for block in state.blocks)
    rows = {
        name: np.stack(
            [
                state.per_class([block.tensors[name][:, step] for block in state.blocks])
                for step in range(length)
            ]
        )
        for name in CURVES[:3]
    }
    target_margin = (rows["target_margin"] / gap).astype(np.float32)
    reached = np.nanmedian(target_margin, axis=1) >= config.median_margin
    chosen = int(reached.argmax()) if reached.any() else length - 1
    by_site = np.full((state.classes, len(state.ground.subject.twin.sites)), np.nan, np.float32)
    for block in state.blocks:
        added = block.tensors["by_site"][:, chosen].cpu().numpy() / gap
        numbers = block.classes.cpu().numpy()
        by_site[numbers] = 0.0
        by_site[numbers, : added.shape[1]] = added
    return Sweep(
        bounds=config.bounds[:length].copy(),
        success_rate=rows["success_rate"],
        worst_source=rows["worst_source"],
        target_margin=target_margin,
        chosen=chosen,
        by_site=by_site,
    )


def _target_margin(
    tail: NoisyTail, noise: Noise, group: torch.Tensor, others: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Noise]:
    """Logits (g, B, K) under the noise, the mean margin (g,) of the others, and its gradient."""
    noise = [each.detach().requires_grad_() for each in noise]
    logits = tail.logits(noise)
    margin = margins.mean_over(margins.margins(logits, group), others)
    return logits.detach(), margin.detach(), list(torch.autograd.grad(margin.sum(), noise))


@without_gradients
def _effect(before: Noise, after: Noise, gradient: Noise) -> torch.Tensor:
    """What a step adds to the margin through each site (g, sites), to first order: Σ Δn · ∇."""
    steps = zip(before, after, gradient, strict=True)
    return torch.stack([((new - old) * slope).sum((1, 2)) for old, new, slope in steps], dim=1)


def _resisting(
    arrived: torch.Tensor, labels: torch.Tensor, group: torch.Tensor, share: float
) -> torch.Tensor:
    """Share (g,) that arrives from the source classes that resist most.

    A trigger works from every source; classes that merely resemble each other have few sources.
    """
    sources = torch.unique(labels)
    member = (labels[:, None] == sources).float()
    by_source = arrived.float() @ member / member.sum(0)
    by_source = by_source.masked_fill(sources == group[:, None], torch.inf)
    few = max(1, int(share * (len(sources) - 1)))
    lowest: torch.Tensor = torch.sort(by_source, dim=1).values
    return lowest[:, :few].mean(1)


def _named(name: str, noise: Noise) -> dict[str, torch.Tensor]:
    return {f"{name}.{number}": each.detach() for number, each in enumerate(noise)}


def _listed(block: Block, name: str) -> Noise:
    count = sum(key.startswith(f"{name}.") for key in block.tensors)
    return [block.tensors[f"{name}.{number}"] for number in range(count)]


neuron_noise = NeuronNoise()
