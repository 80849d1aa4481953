"""Laws of the gradient check: what no gradient gets through is named before any search begins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import fx, nn

from stages.errors import CannotJudge
from stages.twin.gradient import require_gradient

IMAGES = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)


class Net(nn.Module):
    """A layer behind a step, if there is one."""

    def __init__(self, step: str = "") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.step, self.last = step, nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The scores (N, 3)."""
        if self.step == "whole":
            images = images.long().float()
        if self.step == "half":
            images = images.clamp(min=100.0)
        return self.last(images)


def test_a_gradient_that_arrives_is_enough() -> None:
    """A plain net is let through."""
    require_gradient(fx.symbolic_trace(Net()), IMAGES)


def test_where_the_gradient_stops_is_named() -> None:
    """Whole numbers carry none."""
    with pytest.raises(CannotJudge, match=r"for 0% of the images.*stops at `long`"):
        require_gradient(fx.symbolic_trace(Net("whole")), IMAGES)


def test_a_gradient_of_zero_is_none() -> None:
    """A clip that no image gets through leaves nothing to search by."""
    with pytest.raises(CannotJudge, match="for 0% of the images"):
        require_gradient(fx.symbolic_trace(Net("half")), IMAGES)
