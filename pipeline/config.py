"""The settings of a scan: the stages' own, gathered; defaults stand beside the stage they are for.

Changes come from a TOML file, from overrides such as `noise.epsilon=0.2`, and from explicit
options; the later wins.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import cattrs
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.errors import AttributeValidationNote, BaseValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn

from pipeline.isolation import IsolationConfig
from pipeline.native import ExportConfig
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
from stages.warp import WarpConfig

Device = Literal["auto", "cpu", "cuda"]
Structured = TypeVar("Structured")
Hook = Callable[[Any, Any], Any]  # cattrs hands over anything and takes anything


@dataclass(frozen=True, kw_only=True)
class ScanConfig:
    """Every setting of a scan. `seed` seeds all randomness; `device` is auto, cpu or cuda."""

    seed: int = 0
    device: Device = "auto"
    isolation: IsolationConfig = field(default_factory=IsolationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    parity: ParityConfig = field(default_factory=ParityConfig)
    precondition: PreconditionConfig = field(default_factory=PreconditionConfig)
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
    settings = {} if path is None else _read(path)
    for override in overrides:
        for each in filter(str.strip, override.split(";")):
            _apply(each, settings)
    explicit = {"seed": seed, "device": device}
    settings |= {key: value for key, value in explicit.items() if value is not None}
    return structured(settings, ScanConfig)


def structured(settings: object, kind: type[Structured]) -> Structured:
    """A dataclass of untrusted, JSON-like settings, without any conversion of types.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of the wrong type or not finite.
    """
    try:
        return _strict_converter().structure(settings, kind)
    except BaseValidationError as error:
        raise ConfigError("; ".join(_sentences(error))) from error


def config_dict(config: ScanConfig) -> dict[str, object]:
    """The settings as nested, JSON-ready dictionaries."""
    converter = cattrs.Converter(unstruct_collection_overrides={tuple: list})
    settings: dict[str, object] = converter.unstructure(config)
    return settings


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"config `{path}` cannot be read ({error}); expected a TOML file such as"
            ' "[noise]" followed by "steps = 10"'
        ) from error


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


class _UnfitError(ValueError):
    """A value that does not fit its key; the text continues a sentence that begins with the key."""


def _strict_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(int, _exactly("a whole number", int))
    converter.register_structure_hook(float, _exactly("a finite number", int, float))
    converter.register_structure_hook(bool, _exactly("true or false", bool))
    converter.register_structure_hook(str, _exactly("a text", str))
    converter.register_structure_hook_func(_is(Literal), _one_of)
    converter.register_structure_hook_factory(_is(tuple), lambda kind: _list(kind, converter))
    converter.register_structure_hook_factory(is_dataclass, lambda kind: _section(kind, converter))
    return converter


def _is(origin: object) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _exactly(meaning: str, *types: type) -> Hook:
    """Takes a value of just these types: a bool is no number, a text is no number."""

    def structure(value: Any, kind: Any) -> Any:
        if type(value) not in types or (kind is float and not math.isfinite(value)):
            raise _UnfitError(f"is {value!r}, expected {meaning}")
        return kind(value)

    return structure


def _one_of(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise _UnfitError(f"is {value!r}, expected one of {', '.join(map(repr, get_args(kind)))}")
    return value


def _list(kind: Any, converter: cattrs.Converter) -> Hook:
    build: Hook = homogenous_tuple_structure_factory(kind, converter)

    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, list):
            raise _UnfitError(f"is {value!r}, expected a list such as [1, 2]")
        return build(value, kind)

    return structure


def _section(kind: type, converter: cattrs.Converter) -> Hook:
    build: Hook = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise _UnfitError(f"is {value!r}, expected a section of settings")
        return build(value, kind)

    return structure


def _sentences(error: BaseException, key: str = "") -> Iterator[str]:
    """One sentence per wrong setting in the tree of errors, each naming its full key."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            key = f"{key}.{note.name}" if key else note.name
    match error:
        case BaseExceptionGroup():
            for inner in error.exceptions:
                yield from _sentences(inner, key)
        case ForbiddenExtraKeysError():
            known = ", ".join(f"`{item.name}`" for item in fields(error.cl))
            unknown = ", ".join(f"`{name}`" for name in sorted(error.extra_fields))
            yield f"unknown setting {unknown}{f' in `{key}`' if key else ''}; known are {known}"
        case _UnfitError():
            yield f"setting `{key}` {error}"
        case _:
            yield f"`{key}`: {error}" if key else str(error)
