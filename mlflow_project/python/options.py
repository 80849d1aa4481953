"""The keyword arguments that scans, gates and calibrations from Python share, as settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.config import ScanConfig, load_config
from pipeline.pace.duration import seconds_in
from pipeline.samples.preparation import Preparation
from pipeline.settings_file import settings_of
from stages.errors import ConfigError
from stages.settings import Pixels, Text, settings

if TYPE_CHECKING:
    from mlflow_project.connection import Target

Device = Literal["auto", "cpu", "cuda"]
Preprocess = str | Mapping[str, object] | None
"""A name as for `--preprocess`, or the options for pictures by their names."""
WHERE = "docs/samples.md explains each"
Number = Annotated[float, Field(strict=True)]
Crop = Annotated[
    tuple[Pixels, Pixels], Field(json_schema_extra={"what": "a side, or height and width"})
]


@settings
class Pictures:
    """What a `preprocess` of several options may hold; `ban-gate samples --help` explains each."""

    name: Text | None = None
    """As for `--preprocess`."""
    resize: tuple[Pixels, ...] = ()
    """The shorter side, or height and width."""
    crop: Crop | None = None
    """Height and width."""
    mean: tuple[Number, ...] = ()
    """Of one channel, or of each."""
    std: tuple[Number, ...] = ()
    """Same."""
    range: Literal["0-1", "0-255", "-1-1"] | None = None
    """Values of black and white."""
    channels: Literal["rgb", "bgr", "grey"] | None = None
    """Their order."""
    layout: Literal["nchw", "nhwc"] | None = None
    """Where they are."""
    per_class: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = None
    """Pictures of each class."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What every call says besides models and samples.

    Without a target nothing of MLflow is used; a `fresh` one uses and keeps no results.
    """

    config: ScanConfig
    preparation: Preparation
    target: Target | None
    trusted: bool
    fresh: bool


def config_of(
    given: Mapping[str, object] | None, seed: int, device: str, output_name: str
) -> ScanConfig:
    """The settings of a call.

    Raises:
        ConfigError: one is unknown, wrong, or no plain value.
    """
    try:
        overrides = [f"{name}={json.dumps(value)}" for name, value in (given or {}).items()]
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"settings are numbers, texts or lists by name, such as"
            f' {{"judge.false_alarm_rate": 0.01}}; found something else ({error})'
        ) from error
    return load_config(None, overrides, seed=seed, device=device, output=output_name or None)


def preparation_of(preprocess: Preprocess, class_names: Sequence[str], seed: int) -> Preparation:
    """How pictures become samples.

    Raises:
        ConfigError: an option is unknown or wrong.
    """
    names = tuple(map(str, class_names)) or None
    if not isinstance(preprocess, Mapping):
        return Preparation(preprocess=preprocess, class_names=names, seed=seed)
    given = {
        name: _sizes(name, value) if isinstance(value, int | float) else value
        for name, value in preprocess.items()
    }
    asked = settings_of(given, Pictures, WHERE, "preprocess.")
    return Preparation(
        preprocess=asked.name,
        resize=asked.resize,
        crop=asked.crop,
        mean=asked.mean,
        std=asked.std,
        range=asked.range,
        channels=asked.channels,
        layout=asked.layout,
        per_class=asked.per_class,
        class_names=names,
        seed=seed,
    )


def seconds_of(budget: float | str | None) -> float | None:
    """A budget in seconds, also of a text such as `10m`.

    Raises:
        ConfigError: it is no time above 0.
    """
    if isinstance(budget, str):
        return seconds_in(budget)
    if budget is not None and not budget > 0:
        raise ConfigError(f"the budget is {budget:g} s, expected more than 0")
    return budget


def _sizes(name: str, value: float) -> object:
    """One number where the option takes several."""
    many = {"crop": (value, value)} | dict.fromkeys(("resize", "mean", "std"), (value,))
    return many.get(name, value)
