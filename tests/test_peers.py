"""The published detectors that the scan is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import twins
from torch import nn

from benchmarks.peers import (
    Finding,
    ban,
    bti_dbf,
    histogram,
    mm_bd,
    neural_cleanse,
    pixels,
)
from benchmarks.peers.unet import UNet
from stages.convert import build_module
from stages.inspection import inspect_onnx
from stages.normalise import normalise
from stages.twin import make_twin
from stages.types import CleanSamples, Floats, TorchTwin

DEMO = Path(__file__).parent.parent / "mlflow_project" / "demo"

QUICK_CLEANSE = neural_cleanse.Config(steps=8, window=2, batch=8)
QUICK_MARGIN = mm_bd.Config(restarts=4, steps=5)
QUICK_GENERATOR = bti_dbf.Config(
    mask_rounds=1, rounds=2, pretraining_rounds=1, batches=3, batch=16, width=4
)
QUICK_BAN = ban.Config(epochs=1, batches=3, noise_batches=2, steps=3, batch=16)

Find = Callable[[TorchTwin, CleanSamples, int], Finding]

FIND: dict[str, Find] = {
    "ban": lambda twin, samples, seed: ban.find(twin, samples, QUICK_BAN, seed),
    "bti_dbf": lambda twin, samples, seed: bti_dbf.find(twin, samples, QUICK_GENERATOR, seed),
    "mm_bd": lambda twin, samples, seed: mm_bd.find(twin, samples, QUICK_MARGIN, seed),
    "neural_cleanse": lambda twin, samples, seed: neural_cleanse.find(
        twin, samples, QUICK_CLEANSE, seed
    ),
}

detectors = pytest.mark.parametrize("find", FIND.values(), ids=FIND.keys())


@cache
def demo_samples() -> CleanSamples:
    """The first 120 clean digits of the demo."""
    with np.load(DEMO / "samples.npz") as found:
        return CleanSamples(images=found["images"][:120], labels=found["labels"][:120])


@cache
def demo_twin(name: str) -> TorchTwin:
    """The twin of a demo model; shared, so a test must leave it as it was."""
    path = DEMO / f"{name}.onnx"
    module = build_module(normalise(onnx.load(path)))
    return make_twin(inspect_onnx(path), module, demo_samples(), torch.device("cpu"))


@cache
def cornered(strength: float) -> tuple[TorchTwin, CleanSamples]:
    """Four classes, each the brightest quadrant of 8×8 images, and a backdoor: the corner pixel
    votes for class 2. Clean images are dim and dark in that corner.
    """
    quadrants = torch.zeros(2, 2, 2, 4, 2, 4)
    for row, column in np.ndindex(2, 2):
        quadrants[row, column, row, :, column, :] = 1
    last = nn.Linear(64, 4, bias=False)
    last.weight.data = quadrants.view(4, 64)
    last.weight.data[2, 0] += strength
    net = nn.Sequential(nn.Flatten(), last).eval().requires_grad_(requires_grad=False)
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    images[:, :, 0, 0] = 0
    labels = net(images).argmax(1).numpy()
    return _unsited(net), CleanSamples(images=images.numpy(), labels=labels)


def _unsited(net: nn.Module) -> TorchTwin:
    """A twin as far as detectors need it that only run the module."""
    return TorchTwin(
        module=torch.fx.symbolic_trace(net),
        digest="corner",
        device=torch.device("cpu"),
        classes=4,
        trainable_share=1.0,
        sites=(),
        features="_0",
        classifier="_1",
    )


def stretched(samples: CleanSamples) -> CleanSamples:
    """The same images with pixels in [−3, 7]."""
    return CleanSamples(images=samples.images * 10 - 3, labels=samples.labels.copy())


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


def test_neural_cleanse_finds_a_planted_pixel() -> None:
    """The class that one bright pixel gives has by far the smallest trigger."""
    twin, samples = cornered(60.0)
    config = neural_cleanse.Config(steps=240)

    found = neural_cleanse.find(twin, samples, config, 0)

    assert found.suspected_class == 2
    assert found.score == found.per_class.max() > 0


def test_a_smaller_trigger_has_a_larger_index() -> None:
    """Indices count 1.4826 MAD below the median, and are negative above it."""
    indices = neural_cleanse.anomaly_indices(np.array([10.0, 11.0, 9.0, 10.0, 1.0]))

    assert np.allclose(indices * 1.4826, [0, -1, 1, 0, 9], atol=1e-5)


def test_equal_triggers_are_no_anomaly() -> None:
    """A MAD of zero divides nothing by zero."""
    assert not neural_cleanse.anomaly_indices(np.full(4, 3.0)).any()


def follow(cost: neural_cleanse.Cost, outcomes: str) -> None:
    for outcome in outcomes:
        cost.follow(succeeded=outcome == "+")


@pytest.mark.parametrize(
    ("outcomes", "value"),
    [
        ("-" * 12, 0.0),
        ("+" * 4, 0.0),
        ("+" * 5, 1e-3),
        ("+" * 10, 2e-3),
        ("+" * 9 + "-" + "+" * 4, 1e-3),
        ("+" * 10 + "-" * 5, 2e-3 / 2**1.5),
    ],
)
def test_the_cost_follows_success(outcomes: str, value: float) -> None:
    """Zero until five successes in a row; five more double it, five failures cut it by 2^1.5."""
    cost = neural_cleanse.Cost(neural_cleanse.Config())

    follow(cost, outcomes)

    assert cost.value == pytest.approx(value)


def test_the_cost_is_settled_once_it_rose_and_fell() -> None:
    """Only then may a class stop early."""
    cost = neural_cleanse.Cost(neural_cleanse.Config())

    follow(cost, "+" * 10)
    assert not cost.settled
    follow(cost, "-" * 5)

    assert cost.settled


def test_a_class_no_trigger_reaches_keeps_its_last_mask() -> None:
    """Its size is finite, so that it counts in the median."""
    twin, samples = cornered(0.0)
    images = torch.tensor(samples.images)
    config = neural_cleanse.Config(steps=4, success=1.1)

    size = neural_cleanse.smallest_trigger(
        twin, images, 0, config, torch.Generator().manual_seed(0)
    )

    assert 0 < size < 64


def test_margins_are_over_the_best_other_class() -> None:
    """h_t − max over k ≠ t, negative where another class wins."""
    logits = torch.tensor([[1.0, 5.0, 2.0], [7.0, 3.0, 9.0]])

    assert mm_bd.margins_of(logits, 0).tolist() == [-4.0, -2.0]
    assert mm_bd.margins_of(logits, 1).tolist() == [3.0, -6.0]


def test_ascent_raises_the_margin() -> None:
    """More steps reach a larger margin from the same start, inside the valid range."""
    twin, samples = cornered(60.0)
    valid = pixels.measure(torch.tensor(samples.images))
    start = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    reached = [
        mm_bd.largest_margin(twin, start, valid, 2, mm_bd.Config(steps=steps, tolerance=0))
        for steps in (1, 20)
    ]

    assert reached[0] < reached[1]


def test_mm_bd_finds_the_largest_margin() -> None:
    """A backdoor that outweighs every benign margin is named, and the clean net scores lower."""
    config = mm_bd.Config(steps=100)
    planted = mm_bd.find(*cornered(200.0), config, 0)
    clean = mm_bd.find(*cornered(0.0), config, 0)

    assert planted.suspected_class == 2
    assert planted.score > 1.3  # the paper's 5 %
    assert planted.score > clean.score


@pytest.mark.parametrize("null", [[9.0, 10.0, 11.0], [10.0, 10.0, 10.0], [10.0], [-4.0, -1.0, 2.0]])
def test_a_p_value_falls_as_the_largest_margin_grows(null: list[float]) -> None:
    """It stays in (0, 1], with few, equal or negative margins too."""
    found = [
        mm_bd.p_value(np.array([*null, largest], np.float32)) for largest in (11, 30, 1e3, 1e9)
    ]

    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < found[0] <= 1


def test_one_null_statistic_is_exponential() -> None:
    """P = 1 − (1 − exp(−r / mean))², for two classes."""
    found = mm_bd.p_value(np.array([2.0, 6.0], np.float32))

    assert found == pytest.approx(1 - (1 - np.exp(-3)) ** 2)


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


def test_triggers_stay_in_the_valid_range() -> None:
    """Patterns lie between the lowest and the highest clean pixel."""
    images = torch.tensor(stretched(cornered(1.0)[1]).images)
    search = neural_cleanse.Search(
        cornered(1.0)[0], images, 2, QUICK_CLEANSE, torch.Generator().manual_seed(0)
    )

    for _ in range(5):
        search.window()

    pattern = search.pixels.from_unit(neural_cleanse.bounded(search.pattern))
    assert -3 <= pattern.min() < 0 < pattern.max() <= 7


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 28, 28), (3, 9, 13), (3, 8, 8)])
def test_the_generator_keeps_shape_and_range(shape: tuple[int, int, int]) -> None:
    """Any size from 8 × 8 on, one or three channels."""
    net = UNet(shape[0], 4, 3)

    made = net(torch.rand(5, *shape))

    assert made.shape == (5, *shape)
    assert 0 <= made.min() < made.max() <= 1


def inversion(exporter: str, config: bti_dbf.Config) -> bti_dbf.Inversion:
    twin = twins.twin("resnet", exporter)
    net = UNet(3, config.width, config.levels)
    return bti_dbf.Inversion(twin, twins.samples("resnet"), config, 0, net)


def test_pretraining_is_done_once_per_samples() -> None:
    """The samples count by their content; another seed trains another generator."""
    twin, samples = demo_twin("clean"), demo_samples()
    again = CleanSamples(images=samples.images.copy(), labels=samples.labels.copy())
    first, same, other = (
        bti_dbf.pretrained(bti_dbf.Pretraining.of(twin, each, QUICK_GENERATOR, seed))
        for each, seed in ((samples, 0), (again, 0), (samples, 1))
    )

    assert first is same
    assert not torch.equal(first.last.weight, other.last.weight)


def test_pretraining_reproduces_images() -> None:
    """More steps leave less of the image behind."""
    twin, samples = demo_twin("clean"), demo_samples()
    unit = torch.tensor(samples.images)

    errors = []
    for rounds in (1, 20):
        config = replace(QUICK_GENERATOR, pretraining_rounds=rounds)
        net = bti_dbf.pretrained(bti_dbf.Pretraining.of(twin, samples, config, 0))
        with torch.no_grad():
            errors.append((net(unit) - unit).square().mean().item())

    assert errors[1] < errors[0]


@pytest.mark.parametrize(("exporter", "drifts"), [("legacy-preserve", True), ("dynamo", False)])
def test_running_statistics_drift_in_the_copy(exporter: str, drifts: bool) -> None:
    """Only where the twin kept BatchNorm do its features change while the mask is fitted."""
    run = inversion(exporter, QUICK_GENERATOR)
    before = run.features

    for _ in range(3):
        run.mask_step()
    run.fix_features()

    assert run.drifts == drifts
    assert torch.equal(before, run.features) != drifts


def test_the_mask_separates() -> None:
    """Fitting it lowers the loss of the kept features below that of the rest."""
    run = inversion("dynamo", QUICK_GENERATOR)

    for _ in range(60):
        run.mask_step()

    with torch.no_grad():
        kept, rest = (
            nn.functional.cross_entropy(run.head(run.features * mask), run.labels)
            for mask in (run.mask, 1 - run.mask)
        )
    assert kept < rest


@pytest.mark.parametrize("image_bound", [0.0, 1e9])
def test_beyond_a_bound_only_the_image_returns(image_bound: float) -> None:
    """With no change of image or features allowed the generator learns to reproduce the image."""
    tight = replace(QUICK_GENERATOR, image_bound=image_bound, feature_bound=0.0)
    run = inversion("dynamo", tight)
    run.fix_features()

    def change() -> float:
        with torch.no_grad():
            return float((run.generated(run.images) - run.images).square().mean())

    before = change()
    for _ in range(15):
        run.generator_step()

    assert change() < before


def test_within_the_bounds_other_features_change() -> None:
    """With every change allowed the features outside the mask move away."""
    free = replace(QUICK_GENERATOR, image_bound=1e9, feature_bound=1e9)
    run = inversion("dynamo", free)
    run.fix_features()

    def moved() -> float:
        with torch.no_grad():
            change = run.body(run.generated(run.images)) - run.features
            return float(((1 - run.mask) * change).square().mean())

    before = moved()
    for _ in range(15):
        run.generator_step()

    assert moved() > before


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
