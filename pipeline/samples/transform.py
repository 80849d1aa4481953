"""Turns a picture into the numbers that a model takes, with torchvision's own transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from pipeline.samples.input_form import GREY, InputForm
from pipeline.samples.preprocessing import Preprocessing
from stages.later import Later
from stages.types import Floats

if TYPE_CHECKING:
    from torchvision.transforms import v2
else:
    v2 = Later("torchvision.transforms.v2")

Transform = Callable[[Image.Image], Floats]


def transform_of(recipe: Preprocessing, form: InputForm) -> Transform:
    """A function from a picture to one input (*input shape without batch) float32."""
    grey = form.channels == GREY or recipe.channels == "grey"
    steps = v2.Compose([*_sizes(recipe), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])

    def transform(picture: Image.Image) -> Floats:
        unit: torch.Tensor = steps(picture.convert("L" if grey else "RGB"))
        values = with_values(unit.expand(form.channels, -1, -1), recipe)
        return _laid_out(values.numpy(), form)

    return transform


def with_values(unit: torch.Tensor, recipe: Preprocessing) -> torch.Tensor:
    """Images (…, channels, height, width), red first, in [0, 1], with the values of a recipe."""
    low, high = recipe.span
    ordered = unit.flip(-3) if recipe.channels == "bgr" else unit
    spread = ordered if (low, high) == (0.0, 1.0) else ordered * (high - low) + low
    if not any(recipe.mean) and set(recipe.std) == {1.0}:
        return spread
    scaled: torch.Tensor = v2.functional.normalize(spread, list(recipe.mean), list(recipe.std))
    return scaled


def _sizes(recipe: Preprocessing) -> list[torch.nn.Module]:
    steps: list[torch.nn.Module] = []
    if recipe.resize:
        steps.append(v2.Resize(list(recipe.resize), v2.InterpolationMode(recipe.interpolation)))
    if recipe.crop:
        steps.append(v2.CenterCrop(list(recipe.crop)))
    return steps


def _laid_out(image: Floats, form: InputForm) -> Floats:
    """A picture (channels, height, width) with its axes where the model has them."""
    if form.is_plane:
        return np.ascontiguousarray(image[0])
    return np.ascontiguousarray(image if form.layout == "nchw" else image.transpose(1, 2, 0))
