"""What a search recovered, in a form that can be laid on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional

from stages import image_layout
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


Trigger = Overlay | Patch | Displacement


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
