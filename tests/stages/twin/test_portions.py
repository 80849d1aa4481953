"""Images go through the twin in portions that fit, and say the same as all at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import fx, nn

from stages.twin.portions import MOST, ROOM, TIMES, portions
from stages.types import Floats
from tests.support.planted import by_hand

CPU = torch.device("cpu")


def drawn(count: int, side: int) -> Floats:
    """Random images."""
    return np.random.default_rng(0).random((count, 1, side, side), np.float32)


def net(channels: int) -> fx.GraphModule:
    """A convolution of so many channels, and what is averaged over them."""
    layers = nn.Conv2d(1, channels, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return by_hand(nn.Sequential(*layers, nn.Linear(channels, 3)), 3).module


@pytest.mark.parametrize(("channels", "side"), [(4, 16), (64, 64), (128, 128), (256, 256)])
def test_the_largest_activation_of_a_portion_fits(channels: int, side: int) -> None:
    """No portion is larger than what fits, but for a single image, nor smaller but for the last."""
    sizes = [len(each) for each in portions(net(channels), drawn(200, side), CPU)]

    fits = ROOM // (TIMES * channels * side * side)
    assert sum(sizes) == 200
    assert sizes[0] == max(1, min(MOST, fits))
    assert all(one >= other for one, other in pairwise(sizes))
    assert set(sizes[:-1]) <= {sizes[0]}


def test_small_nets_take_as_many_as_ever() -> None:
    """So what was measured of them stays what it was."""
    assert [len(each) for each in portions(net(4), drawn(300, 16), CPU)] == [128, 128, 44]


@torch.no_grad()
def test_portions_say_what_all_say_at_once() -> None:
    """But for rounding."""
    module, images = net(128), drawn(9, 128)
    parts = list(portions(module, images, CPU))

    found = torch.cat([module(each) for each in parts])

    assert len(parts) > 1
    torch.testing.assert_close(found, module(torch.tensor(images)), rtol=1e-4, atol=1e-5)


def test_both_ways_all_activations_count() -> None:
    """They wait for the backward pass, so fewer images fit."""
    images = drawn(100, 64)

    forward, both = (list(portions(net(64), images, CPU, both_ways=each)) for each in (False, True))

    assert len(both[0]) < len(forward[0])
    assert sum(map(len, both)) == 100


def test_portions_are_what_lies_there() -> None:
    """Each of its own memory, on the device, whether or not the array may be written to."""
    images = drawn(300, 16)
    images.setflags(write=False)

    parts = list(portions(net(4), images, CPU))

    assert [len(each) for each in parts] == [128, 128, 44]
    assert torch.equal(torch.cat(parts), torch.tensor(images))
    assert all(each.device == CPU for each in parts)
