"""Class profiles of known-clean models as a file, which `calibrate` writes and a scan reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.config import ScanConfig
from pipeline.structure import structured
from stages.blend import BlendConfig
from stages.errors import ConfigError
from stages.noise import NoiseConfig
from stages.patch import PatchConfig
from stages.score import SEARCHES
from stages.screen import ScreenConfig
from stages.types import ClassProfile, Floats
from stages.warp import WarpConfig

SCHEMA = 3
SUFFIX = ".json"


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What a profile depends on, with what changes nothing in it at its default."""

    blend: BlendConfig
    patch: PatchConfig
    warp: WarpConfig
    noise: NoiseConfig
    screen: ScreenConfig


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A class profile with lists for arrays."""

    name: str
    digest: str
    samples: str
    clean_accuracy: float
    blend: tuple[float, ...]
    sure_blend: tuple[float, ...]
    strong_blend: tuple[float, ...]
    patch: tuple[float, ...]
    warp: tuple[float, ...]
    noise: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class _Document:
    ban_gate_profile: int
    settings: _Settings
    models: tuple[_Entry, ...]


def profile_text(profiles: tuple[ClassProfile, ...], config: ScanConfig) -> str:
    """The profiles as JSON, with the settings they were measured with."""
    document = {
        "ban_gate_profile": SCHEMA,
        "settings": asdict(_settings(config)),
        "models": [
            {
                "name": each.name,
                "digest": each.digest,
                "samples": each.samples,
                "clean_accuracy": each.clean_accuracy,
                **{name: getattr(each, name).tolist() for name in SEARCHES},
            }
            for each in profiles
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def read_profiles(path: Path, config: ScanConfig) -> tuple[ClassProfile, ...]:
    """The profiles of a file.

    Raises:
        ConfigError: the file is no profile, or was measured with other settings than the scan's.
    """
    try:
        document = structured(json.loads(path.read_text(encoding="utf-8")), _Document)
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"profile `{path}` cannot be read ({reason}); expected a file that `ban-gate calibrate`"
            " wrote"
        ) from error
    if document.ban_gate_profile != SCHEMA:
        raise ConfigError(
            f"profile `{path}` has schema {document.ban_gate_profile}, expected {SCHEMA}; write it"
            " again with `ban-gate calibrate`"
        )
    if document.settings != _settings(config):
        raise ConfigError(
            f"profile `{path}` was measured with other settings of blend, patch, warp or noise than"
            " this scan's; write it again with `ban-gate calibrate` and the same settings"
        )
    if not document.models:
        raise ConfigError(
            f"profile `{path}` holds no model, expected one or more; write it again with `ban-gate"
            " calibrate`"
        )
    return tuple(_profile(entry, path) for entry in document.models)


def _profile(entry: _Entry, path: Path) -> ClassProfile:
    values = {name: _values(getattr(entry, name)) for name in SEARCHES}
    lengths = {len(each) for each in values.values()}
    if len(lengths) != 1 or 0 in lengths or not np.isfinite([*values.values()]).all():
        raise ConfigError(
            f"profile `{path}` holds no finite value for every class of `{entry.name}`; write it"
            " again with `ban-gate calibrate`"
        )
    return ClassProfile(
        name=entry.name,
        digest=entry.digest,
        samples=entry.samples,
        clean_accuracy=entry.clean_accuracy,
        **values,
    )


def _values(numbers: tuple[float, ...]) -> Floats:
    with np.errstate(over="ignore"):  # what is too large is told as not finite
        return np.array(numbers, dtype=np.float32)


def _settings(config: ScanConfig) -> _Settings:
    return _Settings(
        blend=replace(config.blend, memory_mb=BlendConfig().memory_mb),
        patch=replace(config.patch, memory_mb=PatchConfig().memory_mb),
        warp=replace(config.warp, memory_mb=WarpConfig().memory_mb),
        noise=replace(
            config.noise, memory_mb=NoiseConfig().memory_mb, epsilon=None, steps=NoiseConfig().steps
        ),
        screen=config.screen,
    )
