"""How far the classes of clean models lie apart, as measured: a row per statistic, and the nulls.

The values stand in `calibration.toml`, which `python -m benchmarks.calibration` writes.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from stages.errors import ConfigError
from stages.types import unkeyed

FILE = Path(__file__).with_name("calibration.toml")
NULLS = TAILS = ("alone", "referenced")
Kind = TypeVar("Kind", "Tail", "Null", "Range")


@dataclass(frozen=True, kw_only=True)
class Tail:
    """How far classes of clean models stand out in one statistic.

    `least` is the smallest deviation that anomaly indices are measured by; a tenth of the classes
    stands out by `upper` or more, and beyond that by `scale` more in the mean. `centre` is the
    median of clean models, for a statistic of the whole model; else 0.
    """

    centre: float
    least: float
    upper: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One statistic: its tails for a model by itself and for its difference from a reference.

    `n` clean models, the `date` and the `command` say where they are from.
    """

    alone: Tail
    referenced: Tail
    n: int
    date: str = unkeyed("")
    command: str = unkeyed("")


@dataclass(frozen=True, kw_only=True)
class Null:
    """The square of the largest score among `n` clean models: a Gumbel distribution.

    `location` is that of ten classes, which grows by `growth` with the logarithm of their number.
    Beside references the scores of all pairs are fitted, and `n` is still the number of models, as
    pairs of the same models tell little more.
    """

    location: float
    scale: float
    growth: float
    n: int
    date: str = unkeyed("")
    command: str = unkeyed("")

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that `n` models carry; what is rarer is only known to be so."""
        return 1 / (self.n + 1)


@dataclass(frozen=True, kw_only=True)
class Range:
    """What the clean models were that all this was measured on: the number of their classes, and
    the smaller side of their images in pixels.
    """

    fewest_classes: int
    most_classes: int
    smallest_side: int
    largest_side: int

    def outside(self, classes: int, side: int) -> str:
        """In which respect a model is unlike them, such as `1000 classes`; empty if in none."""
        unlike = []
        if not self.fewest_classes <= classes <= self.most_classes:
            unlike.append(f"{classes} classes")
        if not self.smallest_side <= side <= self.largest_side:
            unlike.append(f"images of {side} pixels")
        return ", ".join(unlike)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Rows by the full name of their statistic, and the nulls without and with references."""

    range: Range
    alone: Null
    referenced: Null
    rows: Mapping[str, Row]

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


def from_tables(tables: Mapping[str, Any]) -> Calibration:
    """The calibration in nested tables.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of the wrong type or below 0.
    """
    known = dict(tables)
    measured = _filled(Range, known.pop("range", None), "range")
    nulls = known.pop("null", None)
    if not isinstance(nulls, dict) or set(nulls) != set(NULLS):
        raise _unlike(nulls, NULLS, "null")
    found = {name: _filled(Null, nulls[name], f"null.{name}") for name in NULLS}
    for name in NULLS:
        if found[name].scale <= 0:
            raise ConfigError(f"`calibration.null.{name}.scale` is 0, expected more")
    rows = {
        f"{search}.{statistic}": _row(row, f"{search}.{statistic}")
        for search, statistics in known.items()
        for statistic, row in (statistics if isinstance(statistics, dict) else {"": None}).items()
    }
    return Calibration(range=measured, rows=rows, **found)


@cache
def shipped() -> Calibration:
    """The calibration that comes with ban-gate."""
    return from_tables(tomllib.loads(FILE.read_text(encoding="utf-8")))


def _row(values: object, place: str) -> Row:
    """The row of a statistic, which holds two tails."""
    wanted = [each.name for each in fields(Row)]
    if not isinstance(values, dict) or set(values) != set(wanted):
        raise _unlike(values, wanted, place)
    tails = {name: _filled(Tail, values[name], f"{place}.{name}") for name in TAILS}
    for name, tail in tails.items():
        if not (tail.upper > 0 and tail.scale > 0):
            raise ConfigError(
                f"`calibration.{place}.{name}` has an `upper` or `scale` of 0, expected more"
            )
    return Row(
        alone=tails["alone"],
        referenced=tails["referenced"],
        n=_fitting(values["n"], "int", f"{place}.n"),
        date=_fitting(values["date"], "str", f"{place}.date"),
        command=_fitting(values["command"], "str", f"{place}.command"),
    )


def _filled(kind: type[Kind], values: object, place: str) -> Kind:
    """A row of the given kind."""
    wanted = {field.name: str(field.type) for field in fields(kind)}
    if not isinstance(values, dict) or set(values) != set(wanted):
        raise _unlike(values, wanted, place)
    return kind(
        **{name: _fitting(values[name], wanted[name], f"{place}.{name}") for name in wanted}
    )


def _fitting(value: Any, kind: str, place: str) -> Any:
    """The value, if it is of the kind: `float`, where a whole number is one too, `int` or `str`."""
    if kind == "float" and type(value) is int and abs(value) <= sys.float_info.max:
        value = float(value)
    fits = type(value).__name__ == kind
    signed = place.endswith(".centre")
    if fits and (kind == "str" or (-float("inf") if signed else 0) <= value < float("inf")):
        return value
    meaning = "a text" if kind == "str" else "a number" if signed else "a number of 0 or more"
    raise ConfigError(f"`calibration.{place}` is {value!r}, expected {meaning}")


def _unlike(values: object, wanted: Iterable[str], place: str) -> ConfigError:
    """Says which keys a table has, and which it should have."""
    found = ", ".join(sorted(map(str, values))) if isinstance(values, dict) else repr(values)
    return ConfigError(
        f"`calibration.{place}` has {found or 'nothing'}, expected {', '.join(wanted)}"
    )
