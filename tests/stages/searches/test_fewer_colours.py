"""Fewer colours on nets made by hand, beside arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from stages.searches.fewer_colours import FewerColoursConfig, fewer_colours
from stages.searches.screen import run
from stages.searches.search import SearchResult, Subject
from stages.searches.trigger import FewerColours
from stages.types import Floats
from tests.support.planted import (
    SHAPES,
    by_hand,
    evaluated_on,
    nothing,
    planted,
    standardised_margins,
    subject_of,
    within_range,
)

TARGET = 2


def find(subject: Subject, config: FewerColoursConfig | None = None) -> SearchResult:
    """What the search says of every class."""
    settings = config or FewerColoursConfig()
    return run(fewer_colours, subject, settings, subject.classes.numpy(), 0)


def values(found: SearchResult) -> Floats:
    """What it says of every class (K,)."""
    return found.statistics["standardised_margin"]


def laid(found: SearchResult) -> FewerColours:
    """What was found."""
    assert isinstance(found.trigger, FewerColours)
    return found.trigger


class Coarse(nn.Module):
    """A net that tells which row is bright, and takes images without shades for `TARGET`."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, 5): brightness of the first rows, and the lack of shades between 0 and 1."""
        rows = images[:, 0, :5].mean(-1)
        shades = (images * (1 - images)).mean((1, 2, 3))
        coarse = torch.relu(0.02 - shades)
        return rows + 200 * coarse[:, None] * nn.functional.one_hot(torch.tensor(TARGET), 5)


def coarse() -> Subject:
    """That net, and noisy images of bright rows."""
    labels = torch.arange(60) % 5
    noise = 0.1 + 0.3 * torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    noise[torch.arange(60), 0, labels] = 0.9
    noise[0, 0, 7, 0], noise[1, 0, 7, 0] = 0.0, 1.0
    return subject_of(by_hand(Coarse()), noise, labels)


def test_a_net_that_answers_to_coarse_colours_is_found() -> None:
    """Its class leads by far, with as few levels as it was made for."""
    found = find(coarse())

    assert found.targets == (TARGET,)
    assert laid(found).levels == 2
    assert values(found)[TARGET] > np.delete(values(found), TARGET).max() + 2
    assert found.success is not None
    assert found.success.rate == 1.0


@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_are_what_rounding_does_by_hand(shape: tuple[int, ...]) -> None:
    """The largest standardised margin of each class over images rounded by hand."""
    subject, config = planted(nothing(), shape), FewerColoursConfig(most_levels=4)
    images, labels = evaluated_on(subject, config.samples, 0)
    found = find(subject, config)
    low, high = laid(found).low, laid(found).high
    shares = (images.numpy() - low) / (high - low)
    rounded = [low + (high - low) * np.round(shares * n) / n for n in (1, 2, 3)]

    expected = np.max(
        [
            standardised_margins(subject, torch.tensor(each.astype(np.float32)), labels)
            for each in rounded
        ],
        axis=0,
    )

    np.testing.assert_allclose(values(found), expected, rtol=0.05, atol=1e-4)


def test_images_keep_what_they_show() -> None:
    """So many levels of values at most, all of them such as the samples have."""
    subject = coarse()
    found = FewerColours(levels=3, low=laid(find(subject)).low, high=laid(find(subject)).high)

    shown = found.apply(subject.samples.images)

    assert len(np.unique(shown.round(4))) == 3
    assert all(within_range(image, subject.samples) for image in shown)
    assert np.abs(shown - subject.samples.images).max() <= 0.25 + 1e-6
