"""The triggers a scan recovered, as small PNG pictures for a page that loads nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.image import imsave

from stages import pixels
from stages.types import BlendResult, CleanSamples, Floats, PatchResult, WarpResult
from stages.warp import bend

Lay = Callable[[Floats], Floats]
"""Lays a trigger on one image."""

SHOWN = 4
"""Clean samples beside the trigger."""
LARGEST = 256
"""Pixels on the longer side; of larger pictures every second, third … pixel is shown."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as a data URI, and what a reader who does not see it is told."""

    source: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Laid:
    """A clean sample of a class, and the same sample with a trigger laid on."""

    label: int
    before: Picture
    after: Picture


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A recovered trigger by itself, and on clean samples of other classes than its target."""

    target: int
    alone: Picture
    caption: str
    laid: tuple[Laid, ...]


def blended_pattern(samples: CleanSamples, found: BlendResult, opacity: float) -> Trigger:
    """The pattern that carries samples furthest, and samples with it blended in."""
    overlay = _overlay(np.float32(opacity), found.pattern)
    return _trigger(samples, found.leading, overlay, found.pattern)


def square_patch(samples: CleanSamples, found: PatchResult) -> Trigger:
    """The patch that carries samples furthest, on grey, and samples with it laid on."""
    low, high = _range(samples.images)
    alone = (1 - found.mask) * (low + high) / 2 + found.mask * found.pattern
    return _trigger(samples, found.leading, _overlay(found.mask, found.pattern), alone)


def smooth_warp(samples: CleanSamples, found: WarpResult) -> Trigger:
    """The warp that carries samples furthest, on a grid of lines, and samples bent by it."""
    low, high = _range(samples.images)
    alone = _bent(low + (high - low) * _lines(samples.images.shape[1:]), found.flow)
    return _trigger(
        samples,
        found.leading,
        lambda image: _bent(image, found.flow),
        alone,
        caption="a grid of straight lines, bent by it",
    )


def can_be_shown(samples: CleanSamples) -> bool:
    """Whether the samples are images."""
    return pixels.colour_axis(samples.images.shape[1:]) is not None and len(samples) > 0


def _trigger(
    samples: CleanSamples,
    target: int,
    lay: Lay,
    alone: Floats,
    caption: str = "by itself",
) -> Trigger:
    low, high = _range(samples.images)
    laid = []
    for index in _other_classes(samples, target):
        image, label = samples.images[index], int(samples.labels[index])
        after = lay(image)
        laid.append(
            Laid(
                label=label,
                before=_picture(image, low, high, f"a clean sample of class {label}"),
                after=_picture(after, low, high, f"the same sample of class {label}, triggered"),
            )
        )
    told = f"the trigger to class {target}, by itself"
    shown = _picture(alone, low, high, told)
    return Trigger(target=target, alone=shown, caption=caption, laid=tuple(laid))


def _overlay(mask: Floats | np.float32, pattern: Floats) -> Lay:
    return lambda image: (1 - mask) * image + mask * pattern


def _bent(image: Floats, flow: Floats) -> Floats:
    bent: Floats = bend(torch.tensor(image)[None], torch.tensor(flow)[None])[0, 0].numpy()
    return bent


def _lines(shape: tuple[int, ...]) -> Floats:
    """Shares (*shape): a grid of bright lines, six along each side."""
    height, width = pixels.plane(shape)
    rows = np.arange(height) % max(height // 6, 2) == 0
    columns = np.arange(width) % max(width // 6, 2) == 0
    lines = (rows[:, None] | columns).astype(np.float32)
    return np.broadcast_to(lines.reshape(pixels.mask_shape(shape)), shape).copy()


def _other_classes(samples: CleanSamples, target: int) -> list[int]:
    """The first sample of each of the first few classes other than the target."""
    classes, first = np.unique(samples.labels, return_index=True)
    return [int(index) for index in first[classes != target][:SHOWN]]


def _range(images: Floats) -> tuple[Floats, Floats]:
    """Smallest and largest value of each colour, each with as many axes as one image."""
    axis = pixels.colour_axis(images.shape[1:])
    pooled = tuple(i for i in range(images.ndim) if axis is None or i != axis + 1)
    return images.min(pooled, keepdims=True)[0], images.max(pooled, keepdims=True)[0]


def _picture(image: Floats, low: Floats, high: Floats, alt: str) -> Picture:
    """An image in the model's own input space as colours from black to the brightest seen."""
    shares = np.clip(np.nan_to_num((image - low) / np.maximum(high - low, 1e-6)), 0, 1)
    colours = np.moveaxis(shares, pixels.colour_axis(image.shape) or 0, -1)
    step = -(-max(colours.shape[:2]) // LARGEST)
    seen = colours[::step, ::step]
    shown = seen[..., :3] if seen.shape[-1] >= 3 else np.repeat(seen[..., :1], 3, axis=-1)
    file = io.BytesIO()
    imsave(file, np.ascontiguousarray(shown), format="png")
    return Picture(
        source="data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), alt=alt
    )
