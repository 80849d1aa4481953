"""The feature mask on a real twin, and on a head whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import fx, nn

from stages.published.feature_mask import (
    FeatureMaskConfig,
    features_of,
    find_mask,
    fit_mask,
    head_of,
)
from stages.published.results import MaskResult
from tests.support import twins

QUICK = FeatureMaskConfig(epochs=2, batches=5)


def find(config: FeatureMaskConfig = QUICK, seed: int = 0) -> MaskResult:
    """The mask of the small net."""
    inputs = twins.twin(), twins.samples(), twins.statistics(), twins.untargeted_noise()
    return find_mask(*inputs, config, seed)


def two_features() -> tuple[fx.GraphModule, torch.Tensor, torch.Tensor]:
    """Feature 0 tells the class, feature 1 is a constant the head ignores."""
    head = nn.Linear(2, 2, bias=False)
    head.weight.data = torch.tensor([[3.0, 0.0], [-3.0, 0.0]])
    head.requires_grad_(requires_grad=False)
    labels = torch.arange(64) % 2
    features = torch.stack([1.0 - 2.0 * labels, torch.ones(64)], dim=1)
    return fx.symbolic_trace(nn.Sequential(head)), features, labels


def test_mask_keeps_what_tells_the_class_and_drops_the_rest() -> None:
    """The informative feature ends at 1; the penalty takes the useless one to 0."""
    head, features, labels = two_features()
    config = FeatureMaskConfig(epochs=20, batches=20)

    mask, _, _ = fit_mask(head, features, labels, config, 0)

    assert mask.tolist() == [1.0, 0.0]


def test_penalty_really_penalises() -> None:
    """Without a penalty the useless feature keeps its random start; a strong one shrinks all."""
    head, features, labels = two_features()
    free, strong = FeatureMaskConfig(penalty=0.0), FeatureMaskConfig(penalty=100.0)

    kept, _, _ = fit_mask(head, features, labels, free, 0)
    shrunk, _, _ = fit_mask(head, features, labels, strong, 0)

    start = torch.rand(2, generator=torch.Generator().manual_seed(0))
    assert kept[1] == start[1]
    assert shrunk.tolist() == [0.0, 0.0]


def test_mask_has_the_shape_of_the_features_and_stays_in_range() -> None:
    """One value in [0, 1] per feature of one sample."""
    features = features_of(twins.twin(), torch.tensor(twins.samples().images), {})

    found = find()

    assert found.mask.shape == tuple(features.shape[1:])
    assert found.mask.min() >= 0
    assert found.mask.max() <= 1
    assert found.predictions.sum() == len(twins.samples())


def test_mask_of_ones_is_identity() -> None:
    """All features times one give the twin's own logits."""
    twin, images = twins.twin(), torch.tensor(twins.samples().images)
    features = features_of(twin, images, {})

    masked = head_of(twin)(features * torch.ones(features.shape[1:]))

    torch.testing.assert_close(masked, twin.module(images), rtol=1e-5, atol=1e-5)


def test_same_seed_same_mask() -> None:
    """A seed fixes the mask, and another seed changes it."""
    assert np.array_equal(find().mask, find().mask)
    assert not np.array_equal(find().mask, find(seed=1).mask)


def test_losses_are_recorded_per_epoch() -> None:
    """One value per epoch, and what the mask minimises falls."""
    found = find(replace(QUICK, epochs=15, batches=10))
    objective = found.benign_loss - found.other_loss

    assert found.benign_loss.shape == found.other_loss.shape == (15,)
    assert objective[-1] < objective[0]
