"""BTI-DBF: a generator of triggers, and the mask of benign features."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.peers import bti_dbf
from benchmarks.peers.unet import UNet
from stages.types import CleanSamples
from tests.support import twins
from tests.support.peers import QUICK_GENERATOR, demo_samples, demo_twin


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
