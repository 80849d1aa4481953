"""A stage that counts its calls, samples for it, and what a store kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import cast

import numpy as np

from stages.stage import stage
from stages.types import CleanSamples, SiteStatistics

calls: list[str] = []
"""Names of the stages called; whoever looks at it clears it first."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a stage that only exists here."""

    factor: float = 2.0


@stage(version=1)
def double(samples: CleanSamples, config: Settings, seed: int = 0) -> SiteStatistics:
    """A stage that counts its calls."""
    calls.append("double")
    total = samples.images.sum(keepdims=False).reshape(1) * config.factor + seed
    return SiteStatistics(mean=total.astype(np.float32), deviation=np.ones(1, np.float32))


def samples_of(value: float) -> CleanSamples:
    """Two images of that value."""
    return CleanSamples(
        images=np.full((2, 1, 2, 2), value, np.float32), labels=np.array([0, 1], np.int64)
    )


def same(one: object, other: object) -> bool:
    """Equal type and content, arrays with dtype; dataclasses with arrays define no equality."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        array = cast("np.ndarray", other)
        return one.dtype == array.dtype and np.array_equal(one, array, equal_nan=True)
    if isinstance(one, tuple):
        pairs = zip(one, cast("tuple[object, ...]", other), strict=True)
        return all(same(mine, theirs) for mine, theirs in pairs)
    if isinstance(one, Mapping):
        theirs = cast("Mapping[str, object]", other)
        return list(one) == list(theirs) and all(same(one[key], theirs[key]) for key in one)
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return one == other


def entry_in(root: Path) -> Path:
    """The folder of the only result in a store."""
    (found,) = root.glob("*/*")
    return found
