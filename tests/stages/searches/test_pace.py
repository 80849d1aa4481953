"""The pace of a model: images over seconds, measured without a trace."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from stages.searches.pace import PASSES, SHOWN, images_per_second
from tests.support.subjects import demo_subject


@pytest.mark.parametrize("seconds", [0.5, 4.0])
def test_it_is_images_over_seconds(seconds: float) -> None:
    """Of the passes that are timed, with a row for each class."""
    ticks = count()

    pace = images_per_second(demo_subject("clean"), 512, lambda: seconds * next(ticks))

    assert pace == PASSES * 10 * SHOWN / seconds


def test_less_memory_makes_smaller_batches() -> None:
    """As it does for a search."""
    ticks = count()

    assert images_per_second(demo_subject("clean"), 0, lambda: next(ticks)) == PASSES * SHOWN


def test_it_leaves_no_trace() -> None:
    """Neither in the twin nor in what is drawn after it."""
    module = demo_subject("clean").twin.module
    before = {name: each.clone() for name, each in module.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)

    images_per_second(demo_subject("clean"), 512)

    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(each, before[name]) for name, each in module.state_dict().items())
    assert all(each.grad is None for each in module.parameters())
