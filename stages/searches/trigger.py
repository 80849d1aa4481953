"""What a search recovered, in a form that can be laid on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stages import image_layout
from stages.later import functional, torch
from stages.types import Floats, freeze


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """A pattern (*input shape) blended into images with an `opacity` in (0, 1]."""

    kind: ClassVar[str] = "blended pattern"
    opacity: float
    pattern: Floats

    def __post_init__(self) -> None:
        freeze(self.pattern)

    def apply(self, images: Floats) -> Floats:
        """Images (N, *input shape) with the pattern blended in, in the same space."""
        opacity = np.float32(self.opacity)
        blended: Floats = (1 - opacity) * images + opacity * self.pattern
        return blended


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """A pattern (*input shape) laid over images where the `mask` (*mask shape) of 0 and 1 is 1."""

    kind: ClassVar[str] = "patch"
    mask: Floats
    colours: Floats

    def __post_init__(self) -> None:
        freeze(self.mask, self.colours)

    def apply(self, images: Floats) -> Floats:
        """Images (N, *input shape) with the patch laid on."""
        patched: Floats = (1 - self.mask) * images + self.mask * self.colours
        return patched


@dataclass(frozen=True, kw_only=True, eq=False)
class Displacement:
    """A smooth warp: `flow` (H, W, 2), x before y, in halves of the image's sides."""

    kind: ClassVar[str] = "warp"
    flow: Floats

    def __post_init__(self) -> None:
        freeze(self.flow)

    def apply(self, images: Floats) -> Floats:
        """Images (N, *input shape), warped."""
        warped: Floats = warp(torch.tensor(images), torch.tensor(self.flow)[None])[0].numpy()
        return warped


@dataclass(frozen=True, kw_only=True, eq=False)
class Filter:
    """A change of colours and light, on shares of the values from `low` to `high`: `mixing` (C, C),
    `lift` (C,), the exponent `curve`, and how much darker the `corners` are.
    """

    kind: ClassVar[str] = "filter"
    mixing: Floats
    lift: Floats
    curve: float
    corners: float
    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        freeze(self.mixing, self.lift, self.low, self.high)

    def apply(self, images: Floats) -> Floats:
        """Images (N, *input shape) under the filter."""
        mixing, lift = torch.tensor(self.mixing)[None], torch.tensor(self.lift)[None]
        curve, corners = torch.tensor([self.curve]), torch.tensor([self.corners])
        bounds = torch.tensor(self.low), torch.tensor(self.high)
        shown: Floats = tone_of(torch.tensor(images), mixing, lift, curve, corners, *bounds)[
            0
        ].numpy()
        return shown


@dataclass(frozen=True, kw_only=True, eq=False)
class Pattern:
    """A pattern (*mask shape, or *input shape) added to images, whose sums stay within `low` and
    `high`.
    """

    kind: ClassVar[str] = "added pattern"
    pattern: Floats
    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        freeze(self.pattern, self.low, self.high)

    def apply(self, images: Floats) -> Floats:
        """Images (N, *input shape) with the pattern added."""
        added: Floats = np.clip(images + self.pattern, self.low, self.high)
        return added


@dataclass(frozen=True, kw_only=True, eq=False)
class FewerColours:
    """Colours rounded to so many `levels` between `low` and `high`."""

    kind: ClassVar[str] = "fewer colours"
    levels: int
    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        freeze(self.low, self.high)

    def apply(self, images: Floats) -> Floats:
        """Images (N, *input shape) with the rounded colours."""
        bounds = torch.tensor(self.low), torch.tensor(self.high)
        shown: Floats = rounded(torch.tensor(images), self.levels, *bounds).numpy()
        return shown


Trigger = Overlay | Patch | Displacement | Filter | Pattern | FewerColours


def rounded(
    images: torch.Tensor, levels: int, low: torch.Tensor, high: torch.Tensor
) -> torch.Tensor:
    """Images (B, *input shape) whose values are rounded to `levels` from `low` to `high`."""
    width = (high - low).clamp(min=1e-6)
    return low + width * ((images - low) / width * (levels - 1)).round() / (levels - 1)


def tone_of(
    images: torch.Tensor,
    mixing: torch.Tensor,
    lift: torch.Tensor,
    curve: torch.Tensor,
    corners: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
) -> torch.Tensor:
    """Images (B, *input shape) under each of g filters: (g, B, *input shape).

    `mixing` (g, C, C) and `lift` (g, C) act on shares of the valid range, then the exponents
    `curve` (g,), then the darkening `corners` (g,) by the squared distance from the middle.
    """
    shape = tuple(images.shape[1:])
    axis = image_layout.colour_axis(shape)
    shares = (images - low) / (high - low).clamp(min=1e-6)
    ahead = shares.unsqueeze(1) if axis is None else shares.movedim(axis + 1, 1)
    mixed = torch.einsum("gij,nj...->gni...", mixing, ahead)
    wide = (-1, 1, mixed.shape[2], *[1] * (ahead.dim() - 2))
    mixed = (mixed + lift.reshape(wide)).clamp(1e-3, 1)
    bent = mixed ** curve.reshape(-1, *[1] * (mixed.dim() - 1))
    height, width = image_layout.plane(shape)
    rows, columns = (torch.linspace(-1, 1, size, device=images.device) for size in (height, width))
    away = ((rows[:, None] ** 2 + columns**2) / 2).reshape(ahead.shape[2:])
    dark = bent * (1 - corners.reshape(-1, *[1] * (mixed.dim() - 1)) * away)
    back = dark.squeeze(2) if axis is None else dark.movedim(2, axis + 2)
    return low + (high - low) * back


def warp(images: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Images (B, *input shape) warped by each flow (g, H, W, 2): (g, B, *input shape)."""
    shape = tuple(images.shape[1:])
    height, width = image_layout.plane(shape)
    last = image_layout.colour_axis(shape) == 2
    ahead = images.movedim(-1, 1) if last else images
    stacked = ahead.reshape(1, -1, height, width).expand(len(flow), -1, -1, -1)
    axes = [torch.linspace(-1, 1, size, device=images.device) for size in (width, height)]
    still = torch.stack(torch.meshgrid(*axes, indexing="xy"), dim=-1)
    bent = functional.grid_sample(stacked, still + flow, padding_mode="border", align_corners=True)
    shaped = bent.reshape(len(flow), *ahead.shape)
    return shaped.movedim(2, -1) if last else shaped
