"""Samples and recovered triggers as small PNG pictures, for a page that loads nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.image import imsave

from pipeline.evidence import Evidence
from pipeline.shown import examples
from stages import image_layout
from stages.class_names import class_text
from stages.searches.trigger import Displacement, FewerColours, Filter, Overlay, Pattern, Trigger
from stages.types import CleanSamples, Floats

CAPTIONS: dict[type, str] = {
    Displacement: "a grid of straight lines, bent by it",
    Filter: "colours from dark to bright, under it",
    FewerColours: "colours from dark to bright, rounded by it",
    Pattern: "added to grey",
}
"""What is shown of a trigger that has no picture of its own."""
LARGEST = 256
"""Pixels on the longer side; of larger pictures every second, third … pixel is shown."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as a data URI, and its description for a reader who does not see it."""

    source: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Triggered:
    """A clean sample of a class, and the same sample with a trigger; below each stands what the
    model sees in it, if that is known.
    """

    label: int
    before: Picture
    after: Picture
    seen_before: int | None = None
    seen_after: int | None = None


@dataclass(frozen=True, kw_only=True)
class TriggerPictures:
    """A recovered trigger by itself, and on clean samples of other classes than its target."""

    target: int | None
    alone: Picture
    caption: str
    triggered: tuple[Triggered, ...]


def can_be_shown(samples: CleanSamples) -> bool:
    """Whether the samples are images."""
    return image_layout.colour_axis(samples.images.shape[1:]) is not None and len(samples) > 0


def trigger_pictures(evidence: Evidence, search: str) -> TriggerPictures | None:
    """Pictures of what a search recovered; None where nothing was, or the model takes no images."""
    found, samples = evidence.searches[search], evidence.samples
    if found.trigger is None or samples is None or not can_be_shown(samples):
        return None
    target, names = found.accused, evidence.class_names
    aim = "from each class to another" if target is None else f"to {class_text(target, names)}"
    return TriggerPictures(
        target=target,
        alone=drawn(
            alone(found.trigger, samples.images),
            value_range(samples.images),
            f"the trigger {aim}, by itself",
        ),
        caption=CAPTIONS.get(type(found.trigger), "the trigger"),
        triggered=tuple(_triggered(evidence, samples, search, found.trigger)),
    )


def _triggered(
    evidence: Evidence, samples: CleanSamples, search: str, trigger: Trigger
) -> Iterator[Triggered]:
    """A few samples without and with the trigger, and the classes that the model sees in them."""
    shown, clean, names = evidence.shown.get(search), evidence.precondition, evidence.class_names
    places = shown.places if shown else examples(samples, evidence.searches[search], clean)
    limits = value_range(samples.images)
    for number, place in enumerate(places.tolist()):
        image, label = samples.images[place], int(samples.labels[place])
        named, seen = class_text(label, names), int(shown.predicted[number]) if shown else None
        under = "" if seen is None else f", seen as {class_text(seen, names)}"
        after = trigger.apply(image[None])[0]
        yield Triggered(
            label=label,
            before=drawn(image, limits, f"a clean sample of {named}"),
            after=drawn(after, limits, f"the same sample of {named}, triggered{under}"),
            seen_before=None if clean is None else int(clean.logits[place].argmax()),
            seen_after=seen,
        )


def alone(trigger: Trigger, images: Floats) -> Floats:
    """The trigger by itself (*input shape): a pattern, a patch on grey, a grid that is bent, or
    colours from dark to bright under a filter or rounded.
    """
    low, high = value_range(images)
    shape = images.shape[1:]
    if isinstance(trigger, Overlay):
        return trigger.pattern
    if isinstance(trigger, Displacement | Filter | FewerColours):
        shares = _lines(shape) if isinstance(trigger, Displacement) else _ramps(shape)
        drawn = low + (high - low) * shares
        changed: Floats = trigger.apply(drawn[None].astype(np.float32))[0]
        return changed
    grey: Floats = np.broadcast_to((low + high) / 2, shape)[None].astype(np.float32)
    patched: Floats = trigger.apply(grey)[0]
    return patched


def _lines(shape: tuple[int, ...]) -> Floats:
    """Shares (*shape): a grid of bright lines, six along each side."""
    height, width = image_layout.plane(shape)
    rows = np.arange(height) % max(height // 6, 2) == 0
    columns = np.arange(width) % max(width // 6, 2) == 0
    lines = (rows[:, None] | columns).astype(np.float32)
    return np.broadcast_to(lines.reshape(image_layout.mask_shape(shape)), shape).copy()


def _ramps(shape: tuple[int, ...]) -> Floats:
    """Shares (*shape) from 0 at the left to 1: of all colours together at the top, then of each."""
    height, width = image_layout.plane(shape)
    axis = image_layout.colour_axis(shape)
    colours = shape[axis] if axis is not None else 1
    bands = colours + 1 if colours > 1 else 1
    band = np.arange(height) * bands // height
    lit = (band == 0) | (band == 1 + np.arange(colours)[:, None])
    ramps: Floats = (lit[..., None] * np.linspace(0, 1, width)).astype(np.float32)
    return ramps if axis == 0 else np.moveaxis(ramps, 0, -1).reshape(shape)


def value_range(images: Floats) -> tuple[Floats, Floats]:
    """Smallest and largest value of each colour, each with as many axes as one image."""
    axis = image_layout.colour_axis(images.shape[1:])
    pooled = tuple(i for i in range(images.ndim) if axis is None or i != axis + 1)
    return images.min(pooled, keepdims=True)[0], images.max(pooled, keepdims=True)[0]


def drawn(image: Floats, limits: tuple[Floats, Floats], alt: str) -> Picture:
    """An image in the model's own input space as colours between the darkest and brightest seen."""
    low, high = limits
    shares = np.clip(np.nan_to_num((image - low) / np.maximum(high - low, 1e-6)), 0, 1)
    colours = np.moveaxis(shares, image_layout.colour_axis(image.shape) or 0, -1)
    step = -(-max(colours.shape[:2]) // LARGEST)
    seen = colours[::step, ::step]
    shown = seen[..., :3] if seen.shape[-1] >= 3 else np.repeat(seen[..., :1], 3, axis=-1)
    file = io.BytesIO()
    imsave(file, np.ascontiguousarray(shown), format="png")
    return Picture(
        source="data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), alt=alt
    )
