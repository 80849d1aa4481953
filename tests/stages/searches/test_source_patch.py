"""Common patches on nets made by hand, beside arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from stages import image_layout
from stages.searches.margins import logit_gap, of_all_classes
from stages.searches.screen import run
from stages.searches.search import SearchResult, Subject
from stages.searches.source_patch import SourcePatchConfig, source_patch
from stages.searches.trigger import Patch
from stages.types import Floats
from tests.support.planted import (
    CLASSES,
    SHAPES,
    by_hand,
    counted,
    evaluated_on,
    nothing,
    planted,
    subject_of,
    within_range,
)

SOURCE, TARGET = 1, 4
PATCHES = 81


def find(subject: Subject) -> SearchResult:
    """What the search says of every class."""
    return run(source_patch, subject, SourcePatchConfig(), subject.classes.numpy(), 0)


def values(found: SearchResult) -> Floats:
    """What it says of every class (K,)."""
    return found.statistics["source_margin"]


def laid(found: SearchResult) -> Patch:
    """The patch that was found."""
    assert isinstance(found.trigger, Patch)
    return found.trigger


class OneSource(nn.Module):
    """A net that tells which row is bright; images of `SOURCE` with a bright corner are `TARGET`'s.

    On all other classes the corner does nothing.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, 5)."""
        rows = images[:, 0, :5].mean(-1)
        corner = images[:, 0, 5:7, 5:7].mean((-1, -2))
        asked = torch.relu(rows[:, SOURCE] - 0.5) * torch.relu(corner - 0.8)
        return rows + 100 * asked[:, None] * nn.functional.one_hot(torch.tensor(TARGET), CLASSES)


def one_source() -> Subject:
    """That net, and noisy images of bright rows."""
    labels = torch.arange(100) % CLASSES
    images = 0.2 * torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    images[torch.arange(100), 0, labels] = 1.0
    return subject_of(by_hand(OneSource()), images, labels)


def test_a_backdoor_for_one_class_is_found() -> None:
    """Its target leads by far, by a bright patch in its corner, and the success is its source's."""
    found = find(one_source())

    assert found.targets == (TARGET,)
    assert values(found)[TARGET] > np.delete(values(found), TARGET).max() + 1
    assert laid(found).mask[0, 5:7, 5:7].all()
    assert found.success is not None
    assert found.success.source == SOURCE
    assert found.success.rate == 1.0


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_the_statistic_is_what_the_patch_does_by_hand(shape: tuple[int, ...]) -> None:
    """The mean margin of the target over the samples of the class that it carries furthest."""
    subject = planted(nothing(), shape)
    found = find(subject)
    images, labels = evaluated_on(subject, SourcePatchConfig().samples, 0)
    target = found.targets[0]

    shown = torch.tensor(laid(found).apply(images.numpy()))
    margins = of_all_classes(subject.twin.module(shown))[:, target].numpy()
    means = [margins[labels == source].mean() for source in range(CLASSES) if source != target]

    gap = logit_gap(subject.clean.logits)
    assert values(found)[target] == pytest.approx(max(means) / gap, rel=1e-4)


def test_a_large_margin_is_no_smaller_for_the_classes_that_resist() -> None:
    """Other classes than the source do not enter the value: it is as with the source alone."""
    subject = one_source()
    found, gap = find(subject), logit_gap(subject.clean.logits)
    images, labels = evaluated_on(subject, SourcePatchConfig().samples, 0)
    shown = torch.tensor(laid(found).apply(images[labels == SOURCE].numpy()))

    alone = of_all_classes(subject.twin.module(shown))[:, TARGET].mean() / gap

    assert values(found)[TARGET] == pytest.approx(float(alone), rel=1e-4)


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_patches_are_squares_of_values_that_samples_have(shape: tuple[int, ...]) -> None:
    """Within the image and its range, whatever its layout."""
    subject = planted(nothing(), shape)
    patch = laid(find(subject))

    assert set(np.unique(patch.mask)) == {0, 1}
    assert patch.mask.shape == image_layout.mask_shape(shape)
    assert all(within_range(each, subject.samples) for each in patch.apply(subject.samples.images))


def test_what_is_no_image_has_no_patches() -> None:
    """Nothing is shown, and no class stands out."""
    found = find(planted(nothing(), SHAPES[3]))

    assert found.targets == ()
    assert found.effort.images == 0
    assert not values(found).any()


def test_effort_is_a_third_of_what_is_shown() -> None:
    """Images go forward alone, each patch once, whatever the number of classes."""
    subject, net = counted(planted(nothing()))
    state = source_patch.start(subject, SourcePatchConfig(samples=5), 0)
    sized = 1  # one image tells how much memory the others take

    state = source_patch.advance(state, subject.classes, 1)

    assert net.shown == 5 * PATCHES + sized
    assert source_patch.effort(state).images == 5 * PATCHES / 3
