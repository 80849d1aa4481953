"""The settings of a scan: the stages' own, gathered; defaults stand beside the stage they are for.

Changes come from a TOML file, from overrides such as `noise.epsilon=0.2`, and from explicit
options; the later wins.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cattrs

from pipeline.isolation import IsolationConfig
from pipeline.native import ExportConfig
from pipeline.structure import read_toml, structured
from stages.blend import BlendConfig
from stages.errors import ConfigError
from stages.judge import JudgeConfig
from stages.mask import MaskConfig
from stages.noise import NoiseConfig
from stages.parity import ParityConfig
from stages.patch import PatchConfig
from stages.precondition import PreconditionConfig
from stages.reference import ReferenceConfig
from stages.references import VettingConfig
from stages.score import ScoreConfig
from stages.screen import ScreenConfig
from stages.warp import WarpConfig

Device = Literal["auto", "cpu", "cuda"]
EXAMPLE = '"[noise]" followed by "steps = 10"'


@dataclass(frozen=True, kw_only=True)
class ScanConfig:
    """Every setting of a scan. `seed` seeds all randomness; `device` is auto, cpu or cuda."""

    seed: int = 0
    device: Device = "auto"
    isolation: IsolationConfig = field(default_factory=IsolationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    parity: ParityConfig = field(default_factory=ParityConfig)
    precondition: PreconditionConfig = field(default_factory=PreconditionConfig)
    screen: ScreenConfig = field(default_factory=ScreenConfig)
    blend: BlendConfig = field(default_factory=BlendConfig)
    patch: PatchConfig = field(default_factory=PatchConfig)
    warp: WarpConfig = field(default_factory=WarpConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    vetting: VettingConfig = field(default_factory=VettingConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    reference: ReferenceConfig = field(default_factory=ReferenceConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"setting `seed` is {self.seed}, expected 0 or more")


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    device: str | None = None,
) -> ScanConfig:
    """The defaults, changed by a TOML file, by `KEY=VALUE` overrides, and by explicit options.

    An override may hold several settings, separated by semicolons.

    Raises:
        ConfigError: the file is not TOML, or a key is unknown, or a value is of the wrong type.
    """
    settings = {} if path is None else read_toml(path, "config", EXAMPLE)
    for override in overrides:
        for each in filter(str.strip, override.split(";")):
            _apply(each, settings)
    explicit = {"seed": seed, "device": device}
    settings |= {key: value for key, value in explicit.items() if value is not None}
    return structured(settings, ScanConfig)


def config_dict(config: ScanConfig) -> dict[str, object]:
    """The settings as nested, JSON-ready dictionaries."""
    converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
    settings: dict[str, object] = converter.unstructure(config)
    return settings


def _apply(override: str, settings: dict[str, object]) -> None:
    """Sets one `a.b=value` in the nested settings."""
    key, separator, text = override.partition("=")
    *tables, name = key.strip().split(".")
    if not separator or not name:
        raise ConfigError(
            f"override `{override}` has no value, expected KEY=VALUE such as `noise.epsilon=0.2`"
        )
    for table in tables:
        inner = settings.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"override `{override}`: `{table}` is a value, expected a section")
        settings = inner
    settings[name] = _value(text.strip())


def _value(text: str) -> object:
    """A TOML value, or the text itself where it is none, so that `device=cpu` needs no quotes."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text
