"""The settings of a scan: the stages' own, gathered; defaults stand beside the stage they are for.

Changes come from a TOML file, from overrides such as `blend.faint=0.2`, and from explicit options;
the later wins. Nothing slow is imported to read them.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import cattrs
from pydantic import BaseModel, SkipValidation, ValidationError, create_model

from pipeline.cache.keys import described_fields
from pipeline.did_you_mean import unknown_setting
from pipeline.intake.sandbox import IsolationConfig
from pipeline.intake.settings import ExportConfig
from pipeline.renamed import refuse_renamed
from pipeline.settings_file import read_toml
from stages.errors import ConfigError
from stages.onnx_file.settings import OutputConfig
from stages.published.settings import BanConfig, FeatureMaskConfig, UntargetedNoiseConfig
from stages.searches import SEARCHES
from stages.searches.screen import ScreenConfig
from stages.settings import STRICT, bounded, settings
from stages.twin.settings import ArithmeticConfig, ParityConfig, PreconditionConfig
from stages.unfit import names_in, sentences
from stages.verdict.calibration import Calibration, from_model, shipped, tables_model
from stages.verdict.settings import JudgeConfig, VettingConfig

Device = Literal["auto", "cpu", "cuda"]
LARGEST_SEED = 2**63
"""Seeds that torch and numpy both take are smaller."""
EXAMPLE = '"[blend]" followed by "faint_steps = 10"'
OUTSIDE = ("device", "isolation", "export")
"""Settings that cannot change a verdict, only whether there is one."""


def _search_settings() -> Mapping[str, Any]:
    return MappingProxyType({search.name: search.settings() for search in SEARCHES})


@settings
class ScanConfig:
    """Every setting of a scan.

    `searches` holds the settings of each search by its name, which is also the name of their
    section in files and overrides.
    """

    seed: Annotated[int, bounded(ge=0, le=LARGEST_SEED - 1)] = 0
    """Seed of all randomness."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    isolation: IsolationConfig = field(default_factory=IsolationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    parity: ParityConfig = field(default_factory=ParityConfig)
    arithmetic: ArithmeticConfig = field(default_factory=ArithmeticConfig)
    precondition: PreconditionConfig = field(default_factory=PreconditionConfig)
    screen: ScreenConfig = field(default_factory=ScreenConfig)
    searches: SkipValidation[Mapping[str, Any]] = field(default_factory=_search_settings)
    calibration: SkipValidation[Calibration] = field(default_factory=shipped)
    vetting: VettingConfig = field(default_factory=VettingConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    untargeted_noise: UntargetedNoiseConfig = field(default_factory=UntargetedNoiseConfig)
    feature_mask: FeatureMaskConfig = field(default_factory=FeatureMaskConfig)
    published_ban: BanConfig = field(default_factory=BanConfig)

    def with_search(self, name: str, **changes: object) -> ScanConfig:
        """The same with some settings of a search changed."""
        changed = replace(self.searches[name], **changes)
        return replace(self, searches=MappingProxyType({**self.searches, name: changed}))


@cache
def file_model() -> type[BaseModel]:
    """The model of a file of settings: the sections of ScanConfig, and one for each search."""
    sections: dict[str, Any] = {}
    for name, info in ScanConfig.__pydantic_fields__.items():  # type: ignore[attr-defined] # it has
        if name == "searches":
            sections |= {each.name: (each.settings, each.settings()) for each in SEARCHES}
        elif name == "calibration":
            sections[name] = (tables_model(shipped().tables()), ...)
        else:
            sections[name] = (info.annotation, info)
    made: type[BaseModel] = create_model("Settings", __config__=STRICT, **sections)
    return made


@cache
def file_schema() -> Mapping[str, Any]:
    """The JSON Schema of that model, and so the names and ranges of all settings."""
    return file_model().model_json_schema()


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    device: str | None = None,
    output: str | None = None,
) -> ScanConfig:
    """The defaults, changed by a TOML file, by `KEY=VALUE` overrides, and by explicit options.

    An override may hold several settings, separated by semicolons.

    Raises:
        ConfigError: the file is not TOML, or a key is unknown, or a value is of the wrong type or
            out of its range.
    """
    given = {} if path is None else read_toml(path, "config", EXAMPLE)
    for override in overrides:
        for each in filter(str.strip, override.split(";")):
            _apply(each, given)
    explicit = {"seed": seed, "device": device}
    given |= {key: value for key, value in explicit.items() if value is not None}
    config = _config(given)
    return replace(config, output=OutputConfig(name=output)) if output else config


def config_dict(config: ScanConfig) -> dict[str, object]:
    """The settings as nested, JSON-ready dictionaries, as a file of settings would hold them.

    Where the numbers of a calibration come from is left out; it stands beside them in their file.
    """
    converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
    settings: dict[str, object] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if each.name == "searches":
            settings |= {name: converter.unstructure(own) for name, own in value.items()}
        elif each.name == "calibration":
            settings[each.name] = _numbers(config.calibration.tables())
        else:
            settings[each.name] = converter.unstructure(value)
    return settings


def flat_settings(config: ScanConfig) -> dict[str, object]:
    """The settings by their full names, such as `blend.faint`."""
    return dict(_named(config_dict(config)))


def _named(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _named(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def config_digest(config: ScanConfig) -> str:
    """The sha256 of all settings that can change a verdict."""
    described = {
        name: each for name, each in described_fields(config).items() if name not in OUTSIDE
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _numbers(tables: Mapping[str, Any]) -> dict[str, object]:
    return {
        key: _numbers(value) if isinstance(value, Mapping) else value
        for key, value in tables.items()
        if not isinstance(value, str)
    }


def _config(given: dict[str, object]) -> ScanConfig:
    """The settings in nested tables, strictly."""
    refuse_renamed(given)
    tables = _merged(shipped().tables(), given.get("calibration", {}))
    try:
        read = dict(file_model().model_validate({**given, "calibration": tables}))
    except ValidationError as error:
        known = list(names_in(file_schema()))
        wrong = sentences(error, file_schema(), lambda name: unknown_setting(name, known))
        raise ConfigError("; ".join(wrong)) from error
    searches = {search.name: read.pop(search.name) for search in SEARCHES}
    read["calibration"] = from_model(read["calibration"])
    return ScanConfig(searches=MappingProxyType(searches), **read)


def _merged(defaults: Mapping[str, Any], changes: object) -> object:
    """Nested tables with some values changed or added."""
    if not isinstance(changes, Mapping):
        return changes
    changed = {
        key: _merged(defaults[key], value) if isinstance(defaults.get(key), Mapping) else value
        for key, value in changes.items()
    }
    return {**defaults, **changed}


def _apply(override: str, settings: dict[str, object]) -> None:
    """Sets one `a.b=value` in the nested settings."""
    key, separator, text = override.partition("=")
    *tables, name = key.strip().split(".")
    if not separator or not name:
        raise ConfigError(
            f"override `{override}` has no value, expected KEY=VALUE such as `blend.faint=0.2`"
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
    except (ValueError, RecursionError):  # also a number of more digits than Python reads
        return text
    return parsed["value"] if len(parsed) == 1 else text
