"""Reads the `preprocessor_config.json` that transformers writes beside a model of images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.samples.preprocessing import Preprocessing
from pipeline.samples.small_file import read_small
from stages.errors import ConfigError

FILE = "preprocessor_config.json"
LARGEST = 2**20  # bytes
FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Interpolations by their number in Pillow."""
WHITE = 255.0


def read_preprocessor_config(path: Path) -> Preprocessing:
    """The preprocessing in a file of transformers; nothing of it is run.

    Raises:
        ConfigError: it is no such file, or says something else than sizes and numbers.
    """
    try:
        return _preprocessing(json.loads(read_small(path, LARGEST)))
    except (OSError, ValueError, TypeError, LookupError, RecursionError, AttributeError) as error:
        raise ConfigError(
            f"`{path}` cannot be read as a `{FILE}` of transformers ({error}); give the"
            " preprocessing by `--resize`, `--crop`, `--range`, `--mean` and `--std`"
        ) from error


def _preprocessing(stated: Mapping[str, Any]) -> Preprocessing:
    resize, crop = _sizes(stated)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    if stated.get("do_normalize", "image_mean" in stated):
        mean, std = _numbers(stated["image_mean"]), _numbers(stated["image_std"])
    return Preprocessing(
        resize=resize,
        crop=crop,
        interpolation=FILTERS[int(stated.get("resample", 2))],
        span=_span(stated),
        mean=mean,
        std=std,
        channels="bgr" if stated.get("do_flip_channel_order") else None,
    )


def _sizes(stated: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    size = stated.get("size") if stated.get("do_resize", True) else None
    resize = _size(size) if size else ()
    crop = stated.get("crop_size") if stated.get("do_center_crop", False) else None
    height_and_width = _size(crop) * 2 if crop else ()
    if "crop_pct" in stated and not crop and len(resize) == 1:
        side = resize[0]  # as ConvNeXt: larger first, then cut to size
        return (int(side / float(stated["crop_pct"])),), (side, side)
    return resize, (height_and_width[0], height_and_width[1]) if crop else None


def _size(size: Any) -> tuple[int, ...]:
    """The shorter side, or height and width."""
    if isinstance(size, int):
        return (size,)
    if "shortest_edge" in size:
        return (int(size["shortest_edge"]),)
    return int(size["height"]), int(size["width"])


def _span(stated: Mapping[str, Any]) -> tuple[float, float]:
    """What black and white become before the mean is subtracted."""
    if not stated.get("do_rescale", True):
        return 0.0, WHITE
    white = WHITE * float(stated.get("rescale_factor", 1 / WHITE))
    return (-1.0, white - 1) if stated.get("rescale_offset") else (0.0, white)


def _numbers(stated: Any) -> tuple[float, ...]:
    return tuple(map(float, stated)) if isinstance(stated, list) else (float(stated),)
