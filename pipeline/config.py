"""The settings of a scan: the stages' own, gathered; defaults stand beside the stage they are for.

Changes come from a TOML file, from overrides such as `blend.faint=0.2`, and from explicit options;
the later wins.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import cattrs

from pipeline.cache.keys import described_fields
from pipeline.intake.native import ExportConfig
from pipeline.intake.sandbox import IsolationConfig
from pipeline.renamed import refuse_renamed
from pipeline.structure import read_toml, structured
from stages.errors import ConfigError
from stages.onnx_file.outputs import OutputConfig
from stages.published.ban import BanConfig
from stages.published.feature_mask import FeatureMaskConfig
from stages.published.untargeted_noise import UntargetedNoiseConfig
from stages.searches import SEARCHES
from stages.searches.screen import ScreenConfig
from stages.twin.parity import ParityConfig
from stages.twin.precondition import PreconditionConfig
from stages.verdict.calibration import Calibration, from_tables, shipped
from stages.verdict.decide import JudgeConfig
from stages.verdict.vetting import VettingConfig

Device = Literal["auto", "cpu", "cuda"]
LARGEST_SEED = 2**63
"""Seeds that torch and numpy both take are smaller."""
EXAMPLE = '"[blend]" followed by "faint_steps = 10"'
OUTSIDE = ("device", "isolation", "export")
"""Settings that cannot change a verdict, only whether there is one."""


def _search_settings() -> Mapping[str, Any]:
    return MappingProxyType({search.name: search.settings() for search in SEARCHES})


@dataclass(frozen=True, kw_only=True)
class ScanConfig:
    """Every setting of a scan. `seed` seeds all randomness; `device` is auto, cpu or cuda.

    `searches` holds the settings of each search by its name, which is also the name of their
    section in files and overrides.
    """

    seed: int = 0
    device: Device = "auto"
    isolation: IsolationConfig = field(default_factory=IsolationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    parity: ParityConfig = field(default_factory=ParityConfig)
    precondition: PreconditionConfig = field(default_factory=PreconditionConfig)
    screen: ScreenConfig = field(default_factory=ScreenConfig)
    searches: Mapping[str, Any] = field(default_factory=_search_settings)
    calibration: Calibration = field(default_factory=shipped)
    vetting: VettingConfig = field(default_factory=VettingConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    untargeted_noise: UntargetedNoiseConfig = field(default_factory=UntargetedNoiseConfig)
    feature_mask: FeatureMaskConfig = field(default_factory=FeatureMaskConfig)
    published_ban: BanConfig = field(default_factory=BanConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < LARGEST_SEED:
            raise ConfigError(
                f"setting `seed` is {self.seed}, expected 0 or more, and less than 2 to the 63"
            )

    def with_search(self, name: str, **changes: object) -> ScanConfig:
        """The same with some settings of a search changed."""
        changed = replace(self.searches[name], **changes)
        return replace(self, searches=MappingProxyType({**self.searches, name: changed}))


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
        ConfigError: the file is not TOML, or a key is unknown, or a value is of the wrong type.
    """
    settings = {} if path is None else read_toml(path, "config", EXAMPLE)
    for override in overrides:
        for each in filter(str.strip, override.split(";")):
            _apply(each, settings)
    explicit = {"seed": seed, "device": device}
    settings |= {key: value for key, value in explicit.items() if value is not None}
    config = _config(settings)
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


def _config(settings: dict[str, object]) -> ScanConfig:
    """The settings in nested tables, strictly."""
    refuse_renamed(settings)
    names = [search.name for search in SEARCHES]
    known = [name for each in fields(ScanConfig) for name in _sections(each.name, names)]
    if unknown := sorted(set(settings) - set(known)):
        raise ConfigError(
            f"unknown setting {', '.join(f'`{name}`' for name in unknown)}; known are"
            f" {', '.join(f'`{name}`' for name in known)}"
        )
    searches = {
        search.name: _section(settings.get(search.name, {}), search.settings, search.name)
        for search in SEARCHES
    }
    tables = _merged(shipped().tables(), settings.get("calibration", {}), "calibration")
    rest = {key: each for key, each in settings.items() if key not in (*names, "calibration")}
    return replace(
        structured(rest, ScanConfig),
        searches=MappingProxyType(searches),
        calibration=from_tables(tables),
    )


def _sections(name: str, searches: list[str]) -> list[str]:
    """The sections that a field of the configuration is read from."""
    return searches if name == "searches" else [name]


def _section(settings: object, kind: type[Any], name: str) -> Any:
    """The settings of one search; what is wrong is named with its section."""

    @dataclass(frozen=True)
    class One:
        section: Any

    One.__annotations__["section"] = kind
    try:
        return structured({"section": settings}, One).section
    except ConfigError as error:
        raise ConfigError(str(error).replace("`section", f"`{name}")) from error


def _merged(defaults: Mapping[str, Any], changes: object, place: str) -> dict[str, Any]:
    """Nested tables with some values changed.

    Raises:
        ConfigError: a change is to something that is not there.
    """
    if not isinstance(changes, Mapping):
        raise ConfigError(f"setting `{place}` is {changes!r}, expected a section of settings")
    if unknown := sorted(set(map(str, changes)) - set(defaults)):
        raise ConfigError(
            f"unknown setting `{place}.{unknown[0]}`; known in `{place}` are"
            f" {', '.join(f'`{name}`' for name in defaults)}"
        )
    merged = dict(defaults)
    for key, value in changes.items():
        nested = isinstance(defaults[key], Mapping)
        merged[key] = _merged(defaults[key], value, f"{place}.{key}") if nested else value
    return merged


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
