"""Other preprocessings of images at hand: what they may hold, and what the model may want.

Nothing is known of how the images were made, so what they hold is guessed from their range. From
there they are brought to [0, 1], and on to every usual preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.samples.input_form import GREY, InputForm
from pipeline.samples.transform import with_values
from pipeline.samples.usual import NAMED, PLAIN, USUAL, Usual
from stages.types import Floats

SLACK = 0.02
"""How far images in [0, 1] may leave it, by resizing or rounding."""
BYTE = 255.0

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What images may hold, in words; how they come to [0, 1], as a function and as code; and
    further options for pictures that were made so.
    """

    title: str
    code: str
    to_unit: Change
    options: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class ValueForm:
    """Another form of images: in words, as code that makes it, as options for pictures where there
    are such, and as a function of images (n, *input shape).
    """

    title: str
    code: str
    options: str
    apply: Callable[[Floats], Floats]


def value_forms(images: Floats, form: InputForm) -> Iterator[ValueForm]:
    """Every usual form of images (N, *input shape), the most common first; of coloured ones then
    each with the channels in the other order, too.
    """
    origins = list(_origins(channels_first(images, form), form))
    for way_round in (origins, [_other_way(each, form) for each in origins]):
        for origin in way_round:
            for wanted in _fitting(USUAL, form):
                yield _form(origin, wanted, form)
        if form.channels == GREY:
            return


def twisted_forms(images: Floats, form: InputForm) -> Iterator[ValueForm]:
    """The rarer mistakes, with the values left as they are: order of channels, axes, black and
    white.
    """
    for title, code, options, change in _twists(channels_first(images, form), form):
        yield ValueForm(title=title, code=code, options=options, apply=_applied(change, form))


def channels_first(images: Floats, form: InputForm) -> torch.Tensor:
    """Images (N, channels, height, width) of images as the model takes them."""
    pixels = torch.from_numpy(images.copy())
    if form.is_plane:
        return pixels[:, None]
    return pixels if form.layout == "nchw" else pixels.permute(0, 3, 1, 2)


def _as_model(pixels: torch.Tensor, form: InputForm) -> Floats:
    if form.is_plane:
        pixels = pixels[:, 0]
    elif form.layout == "nhwc":
        pixels = pixels.permute(0, 2, 3, 1)
    return np.ascontiguousarray(pixels.numpy(), np.float32)


def _applied(change: Change, form: InputForm) -> Callable[[Floats], Floats]:
    return lambda images: _as_model(change(channels_first(images, form)), form)


def _form(origin: Origin, wanted: Usual, form: InputForm) -> ValueForm:
    return ValueForm(
        title=f"{wanted.title}, where the samples seem to hold {origin.title}",
        code=_code(origin, wanted, form),
        options=f"{wanted.options}{origin.options}",
        apply=_applied(lambda x: with_values(origin.to_unit(x), wanted.preprocessing), form),
    )


def _code(origin: Origin, wanted: Usual, form: InputForm) -> str:
    """What makes the wanted images of those at hand."""
    recipe = wanted.preprocessing
    low, high = recipe.span
    code = origin.code
    if recipe.channels == "bgr":
        code = f"{_wrapped(code)}{_flipped(form)}"
    if (low, high) != (0.0, 1.0):
        code = f"{_wrapped(code)} * {high - low:g}" + (f" - {-low:g}" if low else "")
    if wanted in PLAIN:
        return code
    mean = f"{_wrapped(code)} - {_array(recipe.mean, form)}"
    return f"({mean}) / {_array(recipe.std, form)}" if set(recipe.std) != {1.0} else mean


def _wrapped(code: str) -> str:
    return f"({code})" if " " in code else code


def _array(numbers: tuple[float, ...], form: InputForm) -> str:
    """One number, or one for each channel, as code."""
    listed = ", ".join(f"{each:.6g}" for each in numbers)
    if len(numbers) == 1:
        return listed
    return f"numpy.float32([{listed}])" + ("[:, None, None]" if form.layout == "nchw" else "")


def _flipped(form: InputForm) -> str:
    """The channels in the other order, as code."""
    return "[:, ::-1]" if form.layout == "nchw" else "[..., ::-1]"


def _fitting(usual: tuple[Usual, ...], form: InputForm) -> Iterator[Usual]:
    for each in usual:
        count = len(each.preprocessing.mean)
        if each in PLAIN or count == form.channels:
            yield each


def _origins(pixels: torch.Tensor, form: InputForm) -> Iterator[Origin]:
    """What the images may hold, by their smallest and largest value."""
    low, high = float(pixels.min()), float(pixels.max())
    if low >= -SLACK and high * BYTE <= 1 + SLACK:
        yield _scaled("values divided by 255 twice", f"images * {BYTE:g}", BYTE, 0.0)
    elif low >= -SLACK and high <= 1 + SLACK:
        yield Origin(title="values from 0 to 1", code="images", to_unit=lambda x: x)
    if low >= -SLACK and 1 + SLACK < high <= BYTE + 1:
        yield _scaled("values from 0 to 255", f"images / {BYTE:g}", 1 / BYTE, 0.0)
    if -1 - SLACK <= low < -SLACK and high <= 1 + SLACK:
        yield _scaled("values from -1 to 1", "(images + 1) / 2", 0.5, 0.5)
    if low < -SLACK:
        for each in NAMED.values():
            yield from _normalised(pixels, each, form)


def _other_way(origin: Origin, form: InputForm) -> Origin:
    """The same with the channels in the other order."""
    return Origin(
        title=f"{origin.title} with the channels in the other order",
        code=f"{_wrapped(origin.code)}{_flipped(form)}",
        to_unit=lambda x: origin.to_unit(x).flip(1),
        options=" --channels bgr",
    )


def _scaled(title: str, code: str, factor: float, offset: float) -> Origin:
    return Origin(title=title, code=code, to_unit=lambda x: x * factor + offset)


def _normalised(pixels: torch.Tensor, usual: Usual, form: InputForm) -> Iterator[Origin]:
    """That a usual mean and standard deviation were applied, if taking them back gives [0, 1]."""
    recipe = usual.preprocessing
    if len(recipe.mean) != pixels.shape[1]:
        return
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in (recipe.mean, recipe.std))
    low, high = recipe.span

    def to_unit(normalised: torch.Tensor) -> torch.Tensor:
        unit = (normalised * std + mean - low) / (high - low)
        return unit.flip(1) if recipe.channels == "bgr" else unit

    unit = to_unit(pixels)
    if float(unit.min()) >= -SLACK and float(unit.max()) <= 1 + SLACK:
        scale = "" if set(recipe.std) == {1.0} else f" * {_array(recipe.std, form)}"
        code = f"images{scale} + {_array(recipe.mean, form)}"
        if high != 1:
            code = f"({code}) / {high:g}"
        if recipe.channels == "bgr":
            code = f"({code}){_flipped(form)}"
        yield Origin(title=f"images with {usual.title}", code=code, to_unit=to_unit)


def _twists(pixels: torch.Tensor, form: InputForm) -> Iterator[tuple[str, str, str, Change]]:
    """Words, code, options and function of each."""
    _, channels, height, width = pixels.shape
    if channels == 3:
        yield (
            "the channels put first by a transposition, not by `reshape`, which mixes pixels",
            "images.reshape(N, H, W, 3).transpose(0, 3, 1, 2)",
            "",
            lambda x: x.reshape(len(x), height, width, channels).permute(0, 3, 1, 2),
        )
    if height == width:
        yield (
            "height and width exchanged",
            "numpy.swapaxes(images, -1, -2)" if form.layout == "nchw" or form.is_plane
            else "numpy.swapaxes(images, 1, 2)",
            "",
            lambda x: x.transpose(2, 3),
        )  # fmt: skip
    low, high = float(pixels.min()), float(pixels.max())
    yield (
        "black and white exchanged",
        f"{low + high:.4g} - images",
        "",
        lambda x: low + high - x,
    )
