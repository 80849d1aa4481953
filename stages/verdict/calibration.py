"""How far the classes of clean models lie apart, as measured: a row per statistic, and the nulls.

The values stand in `calibration.toml`, which `python -m benchmarks.calibration` writes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ValidationError, create_model

from stages.errors import ConfigError
from stages.settings import STRICT, Classes, Pixels, Text, bounded, settings
from stages.types import unkeyed
from stages.unfit import sentences

FILE = Path(__file__).with_name("calibration.toml")
NULLS = ("alone", "referenced", "few")
Middle = Annotated[float, bounded(ge=-1e6, le=1e6)]
Size = Annotated[float, bounded(ge=0, le=1e6)]
PositiveSize = Annotated[float, bounded(gt=0, le=1e6)]
Models = Annotated[int, bounded("models", ge=1, le=1_000_000)]


@settings
class Tail:
    """How far classes of clean models stand out in one statistic."""

    centre: Middle
    """The median of clean models, for a statistic of the whole model; else 0."""
    least: Size
    """The smallest deviation that anomaly indices are measured by."""
    upper: PositiveSize
    """The anomaly index by which a tenth of the classes stands out, or by more."""
    scale: PositiveSize
    """How much more than `upper` that is in the mean."""


@settings
class Row:
    """One statistic: its tails, and where they are from."""

    alone: Tail
    """The tail for a model by itself."""
    referenced: Tail
    """The tail for its difference from a reference."""
    few: Tail
    """The tail for that difference as it is, in a model of few classes."""
    n: Models
    """Clean models that it was measured on."""
    date: Text = unkeyed("")
    """When it was measured."""
    command: Text = unkeyed("")
    """The command that measured it."""


@settings
class Null:
    """The square of the largest score among clean models: a Gumbel distribution.

    Beside references the scores of all pairs are fitted, and `n` is still the number of models, as
    pairs of the same models tell little more.
    """

    location: Size
    """The location for ten classes."""
    scale: PositiveSize
    """The scale of the distribution."""
    growth: Size
    """How the location grows with the logarithm of the number of classes."""
    up_to: Classes
    """Classes up to which that was measured; beyond, it grows by the scale, or by more if it did
    so before.
    """
    n: Models
    """Clean models that it was measured on."""
    date: Text = unkeyed("")
    """When it was measured."""
    command: Text = unkeyed("")
    """The command that measured it."""

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that `n` models carry; what is rarer is only known to be so."""
        return 1 / (self.n + 1)


@settings
class Nulls:
    """The nulls without and with references, and of models of few classes."""

    alone: Null
    """For a model by itself."""
    referenced: Null
    """Beside references."""
    few: Null
    """Beside references, of a model of few classes."""


@settings
class Range:
    """What the clean models were that all this was measured on, or its limits tried on."""

    fewest_fitted: Classes
    """With fewer classes, what is said of the whole model has no null: it was fitted on none."""
    fewest_classes: Classes
    """The smallest number of their classes, but for models of few."""
    most_classes: Classes
    """The largest number of their classes."""
    few_classes: Classes
    """A model of so many classes or fewer is judged beside references only, by tails and a null of
    their own: among so few none can stand out by itself.
    """
    smallest_side: Pixels
    """The smaller side of their smallest images."""
    largest_side: Pixels
    """The smaller side of their largest images."""

    def outside(self, classes: int, side: int) -> str:
        """In which respect a model is unlike them, such as `1000 classes`; empty if in none."""
        unlike = []
        few = classes <= self.few_classes
        if not few and not self.fewest_classes <= classes <= self.most_classes:
            unlike.append(f"{classes} classes")
        if not self.smallest_side <= side <= self.largest_side:
            unlike.append(f"images of {side} pixels")
        return ", ".join(unlike)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Rows by the full name of their statistic, and the nulls."""

    range: Range
    alone: Null
    referenced: Null
    few: Null
    rows: Mapping[str, Row]

    def is_few(self, classes: int) -> bool:
        """Whether a model of so many classes is judged beside references only."""
        return classes <= self.range.few_classes

    def row(self, statistic: str) -> Row:
        """The row of a statistic.

        Raises:
            ConfigError: it has none.
        """
        if statistic not in self.rows:
            raise ConfigError(
                f"the statistic `{statistic}` has no row in `{FILE.name}`; write one with"
                " `python -m benchmarks.calibration`"
            )
        return self.rows[statistic]

    def tables(self) -> dict[str, Any]:
        """The same as nested tables, as the file has them."""
        tables: dict[str, Any] = {"range": asdict(self.range)}
        tables["null"] = {name: asdict(getattr(self, name)) for name in NULLS}
        for name, row in self.rows.items():
            search, _, statistic = name.partition(".")
            tables.setdefault(search, {})[statistic] = asdict(row)
        return tables


def tables_model(tables: Mapping[str, Any]) -> type[BaseModel]:
    """The model of a calibration in nested tables, with the searches and statistics of `tables`."""
    return _model_of(
        tuple(
            (search, tuple(statistics))
            for search, statistics in tables.items()
            if search not in ("range", "null") and isinstance(statistics, Mapping)
        )
    )


@cache
def _model_of(names: tuple[tuple[str, tuple[str, ...]], ...]) -> type[BaseModel]:
    sections: dict[str, Any] = {"range": (Range, ...), "null": (Nulls, ...)}
    for search, statistics in names:
        rows: dict[str, Any] = dict.fromkeys(statistics, (Row, ...))
        sections[search] = (create_model(search, __config__=STRICT, **rows), ...)
    doc = "How far the classes of clean models lie apart, by search and statistic."
    made: type[BaseModel] = create_model("Calibration", __config__=STRICT, __doc__=doc, **sections)
    return made


def from_model(read: BaseModel) -> Calibration:
    """The calibration that was read into such a model."""
    sections = dict(read)
    measured, null = sections.pop("range"), sections.pop("null")
    rows = {
        f"{search}.{statistic}": row
        for search, statistics in sections.items()
        for statistic, row in statistics
    }
    nulls = {name: getattr(null, name) for name in NULLS}
    return Calibration(range=measured, rows=rows, **nulls)


def from_tables(tables: Mapping[str, Any]) -> Calibration:
    """The calibration in nested tables.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of the wrong type or out of range.
    """
    model = tables_model(tables)
    try:
        return from_model(model.model_validate(tables))
    except ValidationError as error:
        found = sentences(error, model.model_json_schema(), _unknown, "calibration.")
        raise ConfigError("; ".join(found)) from error


@cache
def shipped() -> Calibration:
    """The calibration that comes with ban-gate."""
    return from_tables(tomllib.loads(FILE.read_text(encoding="utf-8")))


def _unknown(name: str) -> str:
    return f"unknown setting `{name}`"
