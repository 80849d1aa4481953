"""Which preprocessing the pictures get: what was asked for, completed by what the model takes."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.samples.input_form import COLOUR, InputForm
from pipeline.samples.preparation import RANGES, Preparation
from pipeline.samples.preprocessing import Preprocessing
from pipeline.samples.preprocessor_config import FILE, read_preprocessor_config
from pipeline.samples.usual import NAMED
from stages.errors import ConfigError

UNSAID = "nothing was said of it: values from 0 to 1"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A preprocessing that fits the model, and who asked for it, in words."""

    preprocessing: Preprocessing
    origin: str


def recipe_of(asked: Preparation, form: InputForm, beside: Path | None) -> Recipe:
    """The preprocessing for a model of this form; `beside` is the folder the model lies in.

    Options win over what is named by `--preprocess`, and that over a `preprocessor_config.json`
    beside the model. Sizes that nobody states are the model's own.

    Raises:
        ConfigError: something asked for does not exist, or contradicts itself or the model.
    """
    base, origin = _base(asked, form, beside)
    mean, std = _mean_and_std(asked, base)
    merged = replace(
        base,
        resize=asked.resize or base.resize,
        crop=asked.crop or (None if asked.resize else base.crop),
        span=RANGES[asked.range] if asked.range else base.span,
        channels=asked.channels or base.channels,
        mean=mean,
        std=std,
    )
    merged = _sized(merged, form)
    _require_fit(merged, form)
    said = [] if origin == UNSAID and asked != Preparation() else [origin]
    return Recipe(preprocessing=merged, origin=" and ".join([*said, *_options(asked)]) or UNSAID)


def _base(asked: Preparation, form: InputForm, beside: Path | None) -> tuple[Preprocessing, str]:
    if asked.preprocess:
        return _named(asked.preprocess, form), f"`--preprocess {asked.preprocess}`"
    if beside and (beside / FILE).is_file():
        return read_preprocessor_config(beside / FILE), f"`{FILE}` beside the model"
    span = RANGES["0-255" if form.bytes_wanted else "0-1"]
    origin = "the model reads bytes: values from 0 to 255" if form.bytes_wanted else UNSAID
    return Preprocessing(span=span), origin


def _named(name: str, form: InputForm) -> Preprocessing:
    """A usual preprocessing, weights of torchvision, or a file or folder of transformers."""
    if name in NAMED:
        return _scaled(NAMED[name].preprocessing, form)
    path = Path(name)
    if path.is_dir():
        return read_preprocessor_config(path / FILE)
    if path.suffix == ".json":
        return read_preprocessor_config(path)
    return _scaled(_of_weights(name), form)


def _of_weights(name: str) -> Preprocessing:
    """What torchvision's weights were trained with; no weights are downloaded."""
    from torchvision.models import get_weight  # noqa: PLC0415 (heavy)

    try:
        stated = get_weight(name).transforms()
        return Preprocessing(
            resize=tuple(stated.resize_size),
            crop=(stated.crop_size[0], stated.crop_size[-1]),
            interpolation=stated.interpolation.value,
            mean=tuple(stated.mean),
            std=tuple(stated.std),
        )
    except (ValueError, AttributeError) as error:
        near = difflib.get_close_matches(name, NAMED, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise ConfigError(
            f"`--preprocess {name}` names no preprocessing{hint}; expected"
            f" {', '.join(f'`{each}`' for each in NAMED)}, weights of torchvision such as"
            f" `ResNet50_Weights.IMAGENET1K_V2`, or the path of a `{FILE}`"
        ) from error


def _scaled(named: Preprocessing, form: InputForm) -> Preprocessing:
    """A named preprocessing with its sizes brought to those of the model, in proportion."""
    if named.crop is None or form.size is None or named.crop == form.size:
        return named
    share = form.size[0] / named.crop[0]
    return replace(
        named, resize=tuple(round(each * share) for each in named.resize), crop=form.size
    )


def _sized(asked: Preprocessing, form: InputForm) -> Preprocessing:
    """With the model's own size, where no other is asked for."""
    size = form.size
    if size is None or asked.crop or len(asked.resize) == 2:
        return asked
    if size[0] == size[1]:
        return replace(asked, resize=asked.resize or (size[0],), crop=size)
    return replace(asked, resize=size)


def _mean_and_std(
    asked: Preparation, base: Preprocessing
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Those asked for; a range of one's own leaves none of the base's, which has other units."""
    if not asked.mean and not asked.std:
        return ((0.0,), (1.0,)) if asked.range else (base.mean, base.std)
    mean, std = asked.mean or (0.0,), asked.std or (1.0,)
    count = max(len(mean), len(std))
    return mean * (count if len(mean) == 1 else 1), std * (count if len(std) == 1 else 1)


def _require_fit(recipe: Preprocessing, form: InputForm) -> None:
    if len(recipe.mean) not in (1, form.channels):
        raise ConfigError(
            f"the preprocessing has {len(recipe.mean)} means, the model's images have"
            f" {form.channels} channel(s); give one for all, or one for each"
        )
    if recipe.channels == "bgr" and form.channels != COLOUR:
        raise ConfigError("`bgr` is an order of three channels, and the model's images have one")
    low, high = recipe.span
    if any(abs(mean) > max(abs(low), abs(high)) for mean in recipe.mean):
        raise ConfigError(
            f"a mean of {max(recipe.mean):g} lies outside of the values from {low:g} to {high:g};"
            " means of 0 to 255 need `--range 0-255`"
        )


def _options(asked: Preparation) -> list[str]:
    given = {
        "--resize": ",".join(map(str, asked.resize)),
        "--crop": ",".join(map(str, asked.crop or ())),
        "--range": asked.range,
        "--mean": ",".join(f"{each:g}" for each in asked.mean),
        "--std": ",".join(f"{each:g}" for each in asked.std),
        "--channels": asked.channels,
    }
    return [f"`{name} {value}`" for name, value in given.items() if value]
