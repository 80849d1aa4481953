"""All families of the corpus, and what they need from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.conversion import (
    other_frameworks,
    quantised,
    sklearn_models,
    third_party,
    torch_exports,
    whole_libraries,
)
from benchmarks.conversion.case import Case
from benchmarks.conversion.torch_models import TIMM, TORCHVISION


@dataclass(frozen=True, kw_only=True)
class Outside:
    """The interpreters that hold other frameworks; None where there is none."""

    tensorflow: Path | None = None
    jax: Path | None = None
    paddle: Path | None = None


def corpus(outside: Outside) -> Iterator[Case]:
    """Every case, in the order in which they are tried."""
    yield from torch_exports.cases("torchvision", TORCHVISION)
    yield from torch_exports.cases("timm", TIMM)
    yield from whole_libraries.cases()
    yield from sklearn_models.cases()
    yield from other_frameworks.keras_torch()
    yield from other_frameworks.keras_tensorflow(outside.tensorflow)
    yield from other_frameworks.jax(outside.jax)
    yield from other_frameworks.paddle(outside.paddle)
    yield from quantised.cases()
    yield from third_party.cases()
