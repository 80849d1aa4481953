"""Targeted neuron noise on real twins, and on sweeps made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stages import progress
from stages.searches.blocks import Block
from stages.searches.neuron_noise import NeuronNoiseConfig, _resisting, neuron_noise
from stages.searches.screen import run
from stages.searches.search import SearchResult, Sweep
from stages.types import Floats
from tests.support import twins

QUICK = NeuronNoiseConfig(samples=20, sweep=6, largest=1.0)


def find(architecture: str = "small_cnn", config: NeuronNoiseConfig = QUICK) -> SearchResult:
    """What the search says of a twin."""
    subject = twins.subject(architecture)
    return run(neuron_noise, subject, config, subject.classes.numpy(), 0)


def sweep(architecture: str = "small_cnn", config: NeuronNoiseConfig = QUICK) -> Sweep:
    """Its success bound by bound."""
    return _swept(find(architecture, config))


def _swept(result: SearchResult) -> Sweep:
    assert result.sweep is not None
    return result.sweep


@pytest.mark.parametrize("architecture", ["small_cnn", "resnet", "vit", "mlp"])
def test_targeted_noise_reaches_its_targets(architecture: str) -> None:
    """As the bound grows, more samples go to the target, and their margin rises."""
    found = sweep(architecture)
    margin, rate = found.target_margin, found.success_rate

    assert rate.shape == margin.shape == (6, 10)
    assert rate[-1].mean() > rate[0].mean()
    assert (margin.max(axis=0) > margin[0]).all()
    assert ((rate >= 0) & (rate <= 1)).all()
    assert ((found.worst_source >= 0) & (found.worst_source <= 1)).all()


def test_all_classes_at_once_equal_one_by_one() -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    together, apart = sweep(), sweep(config=replace(QUICK, memory_mb=0))

    np.testing.assert_array_equal(together.worst_source, apart.worst_source)
    np.testing.assert_array_equal(together.success_rate, apart.success_rate)
    np.testing.assert_allclose(together.target_margin, apart.target_margin, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(together.by_site, apart.by_site, rtol=1e-4)


def test_sites_share_the_target_margin() -> None:
    """Every class has an effect per site; together they bring samples closer to the target."""
    found = sweep()

    assert found.by_site.shape == (10, len(twins.twin().sites))
    assert (found.by_site.sum(axis=1) > 0).all()


@pytest.mark.parametrize(("depth", "expected"), [(0.0, 1), (0.5, 3), (1.0, 6)])
def test_only_the_earlier_sites_are_perturbed(depth: float, expected: int) -> None:
    """A share of the sites from the input on, at least one; what lies deeper adds nothing."""
    assert len(twins.twin("resnet").sites) == 6

    found = sweep("resnet", replace(QUICK, depth=depth))

    assert (found.by_site[:, :expected] != 0).all()
    assert (found.by_site[:, expected:] == 0).all()


def test_same_seed_same_noise() -> None:
    """A seed fixes everything."""
    assert np.array_equal(sweep().target_margin, sweep().target_margin)


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive the search."""
    module = twins.twin().module
    before = twins.weights(module)

    find()

    assert twins.untouched(module, before)


def judged(rows: list[list[float]], median_margin: float) -> tuple[Floats, Sweep]:
    """The margins (3,) by which a verdict is reached, and the sweep they are taken from.

    The `rows` (S, 3) are the margins, in logit gaps, that three classes reach bound by bound.
    """
    config = replace(QUICK, sweep=len(rows), median_margin=median_margin)
    state = neuron_noise.start(twins.subject(), config, 0)
    reached = torch.tensor(rows).T.contiguous()
    none = torch.zeros_like(reached)
    curves = {"success_rate": none, "worst_source": none, "target_margin": reached}
    by_site = torch.zeros(3, len(rows), 1)
    block = Block(classes=torch.arange(3), step=len(rows), tensors={**curves, "by_site": by_site})
    in_gaps = replace(state.ground, gap=1.0)
    result = neuron_noise.result(replace(state, ground=in_gaps, blocks=(block,)))
    return result.statistics["margin"][:3], _swept(result)


FALLING_BACK = [[-1.0, -1.0, -1.0], [0.0, 1.0, 2.0], [-3.0, -0.5, 2.0], [3.0, 5.0, 7.0]]
ROWS = [[-2.0, -1.0, -1.0], [-2.0, -0.5, 3.0], [-2.0, 0.5, 5.0], [0.0, 4.0, 9.0]]


@pytest.mark.parametrize(
    ("median_margin", "expected"), [(-0.5, 1), (0.0, 2), (-7.0, 0), (4.0, 3), (7.0, 3)]
)
def test_chosen_bound_is_where_the_median_class_gets_there(
    median_margin: float, expected: int
) -> None:
    """The first bound at which the median class's margin is large enough; the last if none is."""
    _, found = judged(ROWS, median_margin)

    assert found.chosen == expected
    assert found.epsilon == found.bounds[expected]


@pytest.mark.parametrize(
    ("median_margin", "expected"),
    [
        (-0.5, [-2, -0.5, 3]),
        (0.0, [-2, 0, 4]),
        (0.25, [-2, 0.25, 4.5]),
        (-7.0, [-2, -1, -1]),
        (7.0, [0, 4, 9]),
    ],
)
def test_margins_count_where_the_median_class_reaches_the_median_margin(
    median_margin: float, expected: list[float]
) -> None:
    """At a bound, between two of them, and at the ends where the sweep does not reach it."""
    found, _ = judged(ROWS, median_margin)

    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx(expected)


def test_a_median_class_that_falls_back_has_reached_the_median_margin() -> None:
    """The first bound at which the median class gets there counts."""
    found, _ = judged(FALLING_BACK, 0.0)

    assert found.tolist() == pytest.approx([-0.5, 0.0, 0.5])


def test_worst_sources_are_those_that_resist() -> None:
    """A class that draws one source only scores nothing; one that draws all scores fully."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    some = torch.tensor([[False, False, True, True, False, False]])
    every = torch.ones(1, 6, dtype=torch.bool)
    target = torch.tensor([0])

    assert _resisting(some, labels, target, share=0.5).item() == 0.0
    assert _resisting(every, labels, target, share=0.5).item() == 1.0


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step up to the last."""
    heard: list[tuple[int, int]] = []

    with progress.listening(lambda done, total: heard.append((done, total))):
        find()

    assert heard == [(step + 1, 6) for step in range(6)]
