"""Class profiles of known-clean models as a file, which `calibrate` writes and a scan reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache.keys import described_fields
from pipeline.config import ScanConfig
from pipeline.structure import structured
from stages.errors import ConfigError
from stages.searches import STATISTICS
from stages.types import Floats, Integers
from stages.verdict.profile import ClassProfile

SCHEMA = 5
SUFFIX = ".json"


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A class profile with lists for arrays."""

    name: str
    digest: str
    samples: str
    clean_accuracy: float
    side: int
    ordinary: tuple[int, ...]
    statistics: dict[str, tuple[float | None, ...]]


@dataclass(frozen=True, kw_only=True)
class _Document:
    ban_gate_profile: int
    settings: dict[str, dict[str, Any]]
    models: tuple[_Entry, ...]


def profile_text(profiles: tuple[ClassProfile, ...], config: ScanConfig) -> str:
    """The profiles as JSON, with the settings they were measured with."""
    document = {
        "ban_gate_profile": SCHEMA,
        "settings": settings_of(config),
        "models": [
            {
                "name": each.name,
                "digest": each.digest,
                "samples": each.samples,
                "clean_accuracy": each.clean_accuracy,
                "side": each.side,
                "ordinary": each.ordinary.tolist(),
                "statistics": {name: _numbers(each.statistics[name]) for name in STATISTICS},
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
        content = json.loads(path.read_text(encoding="utf-8"))
        _require_schema(content, path)
        document = structured(content, _Document)
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        if isinstance(error, _OtherSchema):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"profile `{path}` cannot be read ({reason}); expected a file that `ban-gate calibrate`"
            " wrote"
        ) from error
    if document.settings != settings_of(config):
        raise ConfigError(
            f"profile `{path}` was measured with other settings of the searches than this scan's;"
            " write it again with `ban-gate calibrate` and the same settings"
        )
    if not document.models:
        raise ConfigError(
            f"profile `{path}` holds no model, expected one or more; write it again with `ban-gate"
            " calibrate`"
        )
    return tuple(_profile(entry, path) for entry in document.models)


class _OtherSchema(ConfigError):
    """A profile of another version of ban-gate."""


def _require_schema(content: object, path: Path) -> None:
    found = content.get("ban_gate_profile") if isinstance(content, dict) else None
    if isinstance(found, int) and found != SCHEMA:
        raise _OtherSchema(
            f"profile `{path}` has schema {found}, expected {SCHEMA}; write it again with"
            " `ban-gate calibrate`"
        )


def _profile(entry: _Entry, path: Path) -> ClassProfile:
    values = {name: _values(numbers) for name, numbers in entry.statistics.items()}
    lengths = {len(each) for each in values.values()}
    complete = set(values) == set(STATISTICS) and len(lengths) == 1 and 0 not in lengths
    fits = all(0 <= number < len(next(iter(values.values()), ())) for number in entry.ordinary)
    ordinary = np.array(entry.ordinary if fits else (), dtype=np.int64)
    if not complete or not _finite(list(values.values()), ordinary):
        raise ConfigError(
            f"profile `{path}` lacks a finite value of every statistic for every ordinary"
            f" class of `{entry.name}`; write it again with `ban-gate calibrate`"
        )
    return ClassProfile(
        name=entry.name,
        digest=entry.digest,
        samples=entry.samples,
        clean_accuracy=entry.clean_accuracy,
        side=entry.side,
        ordinary=ordinary,
        statistics={name: values[name] for name in STATISTICS},
    )


def _finite(values: list[Floats], ordinary: Integers) -> bool:
    """Whether the ordinary classes are some, and have a number of every statistic."""
    return (
        len(ordinary) > 0
        and all(np.isfinite(each[ordinary]).all() for each in values)
        and not any(np.isinf(each).any() for each in values)
    )


def _numbers(values: Floats) -> list[float | None]:
    """Values with None for what is NaN."""
    return [None if np.isnan(each) else each for each in values.tolist()]


def _values(numbers: tuple[float | None, ...]) -> Floats:
    numbers = tuple(np.nan if each is None else each for each in numbers)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
        return np.array(numbers, dtype=np.float32)


def settings_of(config: ScanConfig) -> dict[str, dict[str, object]]:
    """What a profile depends on."""
    searches = {name: described_fields(each) for name, each in config.searches.items()}
    return {**searches, "screen": described_fields(config.screen)}
