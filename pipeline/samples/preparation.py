"""What a person says about how pictures become clean samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.class_names import Names

Channels = Literal["rgb", "bgr", "grey"]
Layout = Literal["nchw", "nhwc"]
RANGES = {"0-1": (0.0, 1.0), "0-255": (0.0, 255.0), "-1-1": (-1.0, 1.0)}
"""What black and white become, by the name of the range."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What was said about the samples; whatever is None or empty follows from the model.

    `preprocess` names a usual preprocessing, weights of torchvision, or a file of transformers.
    `resize` is the shorter side, or height and width; `crop` height and width of what is cut out of
    the middle. `mean` and `std` are taken in the units of `range`, one for all channels or one for
    each. `per_class` is how many pictures of each class are taken, and `seed` decides which.
    `class_names` are the names in the model's order, or a file that has them.
    """

    preprocess: str | None = None
    resize: tuple[int, ...] = ()
    crop: tuple[int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    range: str | None = None
    channels: Channels | None = None
    layout: Layout | None = None
    per_class: int | None = None
    class_names: Path | Names | None = None
    seed: int = 0
