"""What the published detectors that the scan is compared with have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.peers import histogram, pixels
from stages.types import Floats
from tests.support import twins
from tests.support.peers import FIND, Find, demo_samples, demo_twin

detectors = pytest.mark.parametrize("find", FIND.values(), ids=FIND.keys())


@detectors
def test_a_finding_speaks_of_every_class(find: Find) -> None:
    """One finite number per class; the suspected class is one of them."""
    found = find(demo_twin("patch"), demo_samples(), 0)

    assert found.per_class.shape == (10,)
    assert found.per_class.dtype == np.float32
    assert np.isfinite(found.per_class).all()
    assert np.isfinite(found.score)
    assert found.suspected_class in range(10)


@detectors
def test_same_seed_same_finding(find: Find) -> None:
    """A seed fixes every draw, whatever torch drew before."""
    first = find(demo_twin("patch"), demo_samples(), 3)
    torch.rand(5)
    second = find(demo_twin("patch"), demo_samples(), 3)

    assert np.array_equal(first.per_class, second.per_class)
    assert first.score == second.score


@pytest.mark.parametrize("name", ["mm_bd", "neural_cleanse"])
def test_another_seed_starts_elsewhere(name: str) -> None:
    """Random starts come from the seed."""
    first, second = (FIND[name](demo_twin("patch"), demo_samples(), seed) for seed in (0, 1))

    assert not np.array_equal(first.per_class, second.per_class)


@detectors
@pytest.mark.parametrize("exporter", ["legacy-preserve", "dynamo"])
def test_the_twin_stays_as_it_was(find: Find, exporter: str) -> None:
    """Weights, running statistics, gradients and modes are untouched, BatchNorm kept or folded."""
    twin = twins.twin("resnet", exporter)
    before = {name: value.clone() for name, value in twin.module.state_dict().items()}

    find(twin, twins.samples("resnet"), 0)

    assert not any(module.training for module in twin.module.modules())
    assert all(parameter.grad is None for parameter in twin.module.parameters())
    assert not any(parameter.requires_grad for parameter in twin.module.parameters())
    after = twin.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_global_generator_is_left_alone() -> None:
    """Pretraining seeds torch for its weights and gives the state back."""
    twin = demo_twin("clean")
    torch.manual_seed(1)
    before = torch.random.get_rng_state()

    FIND["bti_dbf"](twin, demo_samples(), 17)

    assert torch.equal(before, torch.random.get_rng_state())


def test_the_valid_range_is_each_channels_own() -> None:
    """Units map to the lowest and highest clean pixel, and back."""
    images = torch.stack([torch.linspace(-3, 7, 64), torch.linspace(0, 1, 64)]).view(1, 2, 8, 8)
    valid = pixels.measure(images)
    unit = valid.to_unit(images)

    assert valid.low.flatten().tolist() == [-3.0, 0.0]
    assert (unit.min().item(), unit.max().item()) == (0, 1)
    assert torch.allclose(valid.from_unit(unit), images, atol=1e-5)


def test_a_constant_channel_has_a_range() -> None:
    """Nothing is divided by zero."""
    assert pixels.measure(torch.ones(2, 1, 4, 4)).to_unit(torch.ones(2, 1, 4, 4)).isfinite().all()


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


def test_shares_count_labels() -> None:
    """One share per class, also for a class nothing falls into."""
    logits = torch.tensor([[1.0, 2.0, 0.0], [3.0, 2.0, 1.0], [0.0, 5.0, 1.0], [0.0, 1.0, 0.5]])

    assert histogram.shares(logits).tolist() == [0.25, 0.75, 0.0]


def test_a_class_is_suspected_by_its_share() -> None:
    """The score is the largest share; what a class had on clean samples is taken off per class."""
    found = histogram.finding(floats(0.5, 0.25, 0.25), floats(0.25, 0.75, 0.0))

    assert (found.suspected_class, found.score) == (1, 0.75)
    assert found.per_class.tolist() == [-0.25, 0.5, -0.25]


@pytest.mark.parametrize("name", ["ban", "bti_dbf"])
def test_shares_only_move_between_classes(name: str) -> None:
    """What the classes gained sums to nothing."""
    found = FIND[name](demo_twin("patch"), demo_samples(), 0)

    assert found.per_class.sum() == pytest.approx(0, abs=1e-5)
    assert 0.1 <= found.score <= 1
