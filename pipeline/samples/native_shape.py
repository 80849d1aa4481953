"""The shape of one image for a model that is not ONNX yet and does not state it, as of PyTorch."""

from __future__ import annotations

from pipeline.samples.input_form import COLOUR, GREY, InputForm
from pipeline.samples.model_names import folder_beside
from pipeline.samples.preparation import Preparation
from pipeline.samples.recipe import recipe_of

SILENT = ("pytorch", "")
"""Frameworks whose models do not state the shape of their input; that of a function is not known
yet.
"""


def native_shape(asked: Preparation, model: str, framework: str) -> tuple[int, ...] | None:
    """The shape that pictures get by what is asked for; None if it says no size, or the model does.

    Raises:
        ConfigError: something asked for does not exist, or contradicts itself.
    """
    if framework not in SILENT:
        return None
    channels = GREY if asked.channels == "grey" else COLOUR
    layout = asked.layout or "nchw"
    form = InputForm(height=None, width=None, channels=channels, layout=layout)
    recipe = recipe_of(asked, form, folder_beside(model)).preprocessing
    size = recipe.crop or (recipe.resize if len(recipe.resize) == 2 else None)
    if size is None:
        return None
    return (channels, *size) if layout == "nchw" else (*size, channels)
