"""The published algorithm on a twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages import progress
from stages.published.ban import Ban, run_ban
from stages.published.results import BanResult
from stages.published.settings import BanConfig
from tests.support import twins

QUICK = BanConfig(epochs=1, batches=3, noise_batches=2, steps=4, batch=16)


def result(exporter: str = "legacy-preserve", seed: int = 0) -> BanResult:
    """What the published algorithm reports for the residual net."""
    twin, statistics = twins.twin("resnet", exporter), twins.statistics("resnet", exporter)
    return run_ban(twin, twins.samples("resnet"), statistics, QUICK, seed)


@pytest.mark.parametrize("exporter", ["legacy-preserve", "dynamo"])
def test_it_counts_every_sample(exporter: str) -> None:
    """It runs with BatchNorm kept and folded; its share is that of the most frequent class."""
    found = result(exporter)

    assert found.predictions.sum() == 96
    assert found.share == found.predictions.max() / 96


def test_it_works_on_a_copy() -> None:
    """Train mode moves no running statistic of the twin itself."""
    module = twins.twin("resnet", "legacy-preserve").module
    before = {name: value.clone() for name, value in module.state_dict().items()}

    result()

    assert not module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_same_seed_same_result() -> None:
    """A seed fixes batches, mask and noise."""
    assert np.array_equal(result().predictions, result().predictions)


def test_unclipped_noise_reaches_beyond_epsilon() -> None:
    """As in the published code, noise may leave ±ε but never ±2ε."""
    twin = twins.twin("resnet", "legacy-preserve")
    statistics = twins.statistics("resnet", "legacy-preserve")
    run = Ban(twin, twins.samples("resnet"), statistics, BanConfig(batch=16), 0)

    run.restart_noise()
    for _ in range(30):
        run.noise_step()

    largest = max(each.abs().max().item() for each in run.noise)
    assert 0.3 < largest <= 0.6 + 1e-5


def test_its_cost_is_that_of_the_published_settings() -> None:
    """400 mask steps and 600 noise steps at the default settings."""
    config = BanConfig()

    assert config.epochs * config.batches == 400
    assert config.noise_batches * config.steps == 600


def test_it_reports_every_step() -> None:
    """Whoever listens hears 3 + 8 steps."""
    heard: list[int] = []

    with progress.listening(lambda done, _: heard.append(done)):
        result()

    assert heard == list(range(1, 12))
