"""How much every element of an axis adds to the elements of the resized axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """Linear interpolation along an axis, or cubic interpolation with the coefficient `cubic`.

    If it `smooths`, the filter becomes wider where the axis becomes shorter. Beyond the border the
    border element goes on; with `inside_only`, nothing is taken from there.
    """

    cubic: float | None
    smooths: bool
    inside_only: bool

    def resized(
        self, x: torch.Tensor, axis: int, places: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """X between its elements: at these places (T,) of the axis, which then has length T.

        One that smooths leaves an axis that keeps its length as it is, as onnxruntime does.
        """
        if self.smooths and len(places) == x.shape[axis]:
            return x
        shares = self.shares(places, x.shape[axis], scale).to(x.dtype)
        return (x.transpose(axis, -1) @ shares.T).transpose(axis, -1)

    def shares(self, places: torch.Tensor, size: int, scale: float) -> torch.Tensor:
        """What each place takes of each element: (T, size), rows of which add up to 1.

        Source: Resize of ONNX; for the wider filter, onnxruntime, which follows Pillow.
        """
        stretch = max(1.0, 1 / scale) if self.smooths else 1.0
        reach = stretch * (1 if self.cubic is None else 2)
        steps = torch.arange(2 * math.ceil(reach) + 1, device=places.device)
        near = (places - reach).floor()[:, None] + 1 + steps
        parts = self._filter((near - places[:, None]).abs() / stretch)
        if self.inside_only:
            parts = parts * ((near >= 0) & (near < size))
        total = parts.sum(1, keepdim=True)
        parts = parts / torch.where(total == 0, torch.ones_like(total), total)
        empty = torch.zeros(len(places), size, device=places.device)
        return empty.scatter_add(1, near.clamp(0, size - 1).long(), parts)

    def _filter(self, distance: torch.Tensor) -> torch.Tensor:
        """The height of the filter at a distance from its middle."""
        if self.cubic is None:
            return (1 - distance).clamp(min=0)
        a = self.cubic
        inner = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        outer = (((distance - 5) * distance + 8) * distance - 4) * a
        outer = torch.where(distance < 2, outer, torch.zeros_like(outer))
        return torch.where(distance < 1, inner, outer)
