"""Targeted and untargeted neuron noise on real twins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import twins

from stages import noise, progress
from stages.noise import (
    NoiseConfig,
    find_targeted_noise,
    find_untargeted_noise,
    judged_margins,
)
from stages.screen import ScreenConfig
from stages.types import TargetedNoise, UntargetedNoise

QUICK = NoiseConfig(samples=20, untargeted_samples=20, sweep=6, largest=1.0, steps=8)


def targeted(architecture: str = "small_cnn", config: NoiseConfig = QUICK) -> TargetedNoise:
    return find_targeted_noise(
        twins.twin(architecture),
        twins.samples(architecture),
        twins.statistics(architecture),
        twins.clean(architecture),
        config,
        ScreenConfig(),
        0,
    )


def untargeted(config: NoiseConfig = QUICK, epsilon: float = 0.3, seed: int = 0) -> UntargetedNoise:
    inputs = twins.twin(), twins.samples(), twins.statistics(), twins.clean()
    return find_untargeted_noise(*inputs, config, epsilon, seed)


@pytest.mark.parametrize("architecture", ["small_cnn", "resnet", "vit", "mlp"])
def test_targeted_noise_reaches_its_targets(architecture: str) -> None:
    """As the bound grows, more samples go to the target, and their margin rises."""
    found = targeted(architecture)

    assert found.flips.shape == found.pull.shape == (6, 10)
    assert found.flips[-1].mean() > found.flips[0].mean()
    assert (found.pull.max(axis=0) > found.pull[0]).all()
    assert ((found.flips >= 0) & (found.flips <= 1)).all()
    assert ((found.worst_source >= 0) & (found.worst_source <= 1)).all()


def test_all_classes_at_once_equal_one_by_one() -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    together, apart = targeted(), targeted(config=replace(QUICK, memory_mb=0))

    np.testing.assert_array_equal(together.worst_source, apart.worst_source)
    np.testing.assert_array_equal(together.flips, apart.flips)
    np.testing.assert_allclose(together.pull, apart.pull, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(together.by_site, apart.by_site, rtol=1e-4)


def test_sites_share_the_pull() -> None:
    """Every class has an effect per site; together they pull towards the target."""
    found = targeted()

    assert found.by_site.shape == (10, len(twins.twin().sites))
    assert (found.by_site.sum(axis=1) > 0).all()


@pytest.mark.parametrize(("depth", "expected"), [(0.0, 1), (0.5, 3), (1.0, 6)])
def test_only_the_earlier_sites_are_perturbed(depth: float, expected: int) -> None:
    """A share of the sites from the input on, at least one; what lies deeper adds nothing."""
    assert len(twins.twin("resnet").sites) == 6

    found = targeted("resnet", replace(QUICK, depth=depth))

    assert (found.by_site[:, :expected] != 0).all()
    assert (found.by_site[:, expected:] == 0).all()


def test_same_seed_same_noise() -> None:
    """A seed fixes everything, and another seed changes the noise."""
    one, again, other = untargeted(), untargeted(), untargeted(seed=1)

    assert all(np.array_equal(a, b) for a, b in zip(one.scale, again.scale, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one.scale, other.scale, strict=True))
    assert np.array_equal(targeted().pull, targeted().pull)


def test_untargeted_noise_raises_the_loss_within_its_ball() -> None:
    """The loss ends higher than it began, and no noise leaves ±ε: the projection is real."""
    found = untargeted(epsilon=0.2)

    assert found.loss[-1] > found.loss[0]
    assert max(np.abs(each).max() for each in (*found.scale, *found.shift)) <= 0.2 + 1e-6
    assert found.predictions.sum() == 20


def test_no_noise_no_change() -> None:
    """With ε = 0 the samples, all classified correctly, stay so."""
    assert untargeted(epsilon=0.0).accuracy == 1.0


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive both searches."""
    module = twins.twin().module
    before = {name: value.clone() for name, value in module.state_dict().items()}

    targeted()
    untargeted()

    assert not module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(weight.grad is None for weight in module.parameters())
    assert not any(weight.requires_grad for weight in module.parameters())


def test_chosen_bound_is_where_the_median_class_moves() -> None:
    """The first bound at which the median class flips enough; the last if none does."""
    flips = np.array([[0, 0, 0.9], [0, 0.06, 0.9], [0.5, 0.5, 1.0]], dtype=np.float32)

    assert noise._suiting(flips, 0.05) == 1
    assert noise._suiting(flips * 0, 0.05) == 2


def swept(*pull: list[float]) -> TargetedNoise:
    """A sweep with these margins (S, K), whatever its bounds."""
    nothing = np.zeros((len(pull), len(pull[0])), np.float32)
    return TargetedNoise(
        epsilons=np.geomspace(0.01, 0.5, len(pull)).astype(np.float32),
        flips=nothing,
        worst_source=nothing,
        pull=np.array(pull, np.float32),
        chosen=0,
        by_site=nothing,
    )


SWEEP = swept([-2, -1, -1], [-2, -0.5, 3], [-2, 0.5, 5], [0, 4, 9])


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (-0.5, [-2, -0.5, 3]),
        (0.0, [-2, 0, 4]),
        (0.25, [-2, 0.25, 4.5]),
        (-7.0, [-2, -1, -1]),
        (7.0, [0, 4, 9]),
    ],
)
def test_margins_count_where_the_median_class_reaches_the_level(
    level: float, expected: list[float]
) -> None:
    """At a bound, between two of them, and at the ends where the sweep does not reach it."""
    found = judged_margins(SWEEP, replace(QUICK, level=level))

    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx(expected)


def test_a_usual_class_that_falls_back_has_reached_the_level() -> None:
    """The first bound at which the median class gets there counts."""
    sweep = swept([-1, -1, -1], [0, 1, 2], [-3, -0.5, 2], [3, 5, 7])

    found = judged_margins(sweep, replace(QUICK, level=0.0))

    assert found.tolist() == pytest.approx([-0.5, 0.0, 0.5])


def test_worst_sources_are_those_that_resist() -> None:
    """A class that draws one source only scores nothing; one that draws all scores fully."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    some = torch.tensor([[False, False, True, True, False, False]])
    every = torch.ones(1, 6, dtype=torch.bool)
    target = torch.tensor([0])

    assert noise._resisting(some, labels, target, share=0.5).item() == 0.0
    assert noise._resisting(every, labels, target, share=0.5).item() == 1.0


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step up to the last."""
    heard: list[tuple[int, int]] = []

    with progress.listening(lambda done, total: heard.append((done, total))):
        targeted()

    assert heard == [(step + 1, 6) for step in range(6)]
