"""A single row whose activations do not fit into the memory: the same numbers, part by part."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from stages.searches.parts import images_that_fit, in_parts
from tests.support.planted import CLASSES, by_hand


def net() -> nn.Module:
    """A small net with weights drawn from a seed."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 5)).eval()


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_parts_have_the_logits_and_slopes_of_the_whole(most: int) -> None:
    """Whatever fits at once, for inputs and for what the net is computed with."""
    module, images = net(), torch.rand(7, 3, 8, 8)
    scale = torch.tensor(1.5, requires_grad=True)
    images.requires_grad_()

    def compute(rows: torch.Tensor) -> torch.Tensor:
        return module(scale * rows)  # type: ignore[no-any-return] # a module's output

    whole, parts = compute(images), in_parts(compute, torch.split(images, most))

    torch.testing.assert_close(parts, whole)
    wanted, found = (
        torch.autograd.grad(each.square().sum(), [images, scale]) for each in (whole, parts)
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_no_more_images_than_fit_go_through_at_once() -> None:
    """Neither forward nor when the gradient is taken."""
    seen: list[int] = []

    def compute(rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows))
        return rows.square().sum(1)

    images = torch.rand(8, 4, requires_grad=True)

    torch.autograd.grad(in_parts(compute, torch.split(images, 3)).sum(), images)

    assert sorted(seen) == sorted(2 * [3, 3, 2])


def test_only_one_part_is_kept_for_the_gradient() -> None:
    """What autograd saves of all parts together is less than what it saves of the whole."""
    module, images = net(), torch.rand(8, 3, 8, 8, requires_grad=True)

    def saved(compute: partial[torch.Tensor]) -> int:
        held = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal held
            held += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            compute()
        return held

    whole, parts = (
        saved(partial(module, images)),
        saved(partial(in_parts, module, torch.split(images, 2))),
    )

    assert parts < whole / 3


def test_what_fits_is_within_the_memory() -> None:
    """In float32, forward and backward: the input, its flat form and the logits of each image."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4096, CLASSES))
    twin, images = by_hand(net), torch.zeros(2, 1, 64, 64)

    few, many = (images_that_fit(twin, images, memory) for memory in (4, 8))

    assert few * 4 * (2 * 4096 + CLASSES) <= 4 * 2**20 < 2 * few * 4 * (2 * 4096 + CLASSES)
    assert many // 2 == few
    assert images_that_fit(twin, images, 0) == 1
