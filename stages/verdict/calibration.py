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
NULLS = ("alone", "referenced")
Kind = TypeVar("Kind", "Row", "Null", "Shared")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One statistic: its weight in the joined score, and how far classes usually lie apart.

    `spread` is that of a model by itself, `gap` that of a model's values minus a reference's, both
    in the statistic's unit. `n` clean models, the `date` and the `command` say where they are from.
    """

    weight: float
    spread: float
    gap: float
    n: int
    date: str = unkeyed("")
    command: str = unkeyed("")


@dataclass(frozen=True, kw_only=True)
class Null:
    """The largest score among `n` clean models of ten classes: a Gumbel distribution.

    Beside references the scores of all pairs are fitted, and `n` is still the number of models, as
    pairs of the same models tell little more.
    """

    location: float
    scale: float
    n: int
    date: str = unkeyed("")
    command: str = unkeyed("")

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that `n` models carry; what is rarer is only known to be so."""
        return 1 / (self.n + 1)


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all statistics share.

    `reference_weight` is that of what stands out against references; `classes` those of the models
    the nulls come from; `growth` the power of the number of classes that the largest score grows
    with (`python -m benchmarks.many_classes`; log K, as of a Gumbel alone, is too little).
    """

    reference_weight: float
    classes: int
    growth: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Rows by the full name of their statistic, and the nulls without and with references."""

    shared: Shared
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
        tables: dict[str, Any] = {"shared": asdict(self.shared)}
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
    shared = _filled(Shared, known.pop("shared", None), "shared")
    if shared.classes < 1:
        raise ConfigError("`calibration.shared.classes` is 0, expected 1 or more")
    nulls = known.pop("null", None)
    if not isinstance(nulls, dict) or set(nulls) != set(NULLS):
        raise _unlike(nulls, NULLS, "null")
    found = {name: _filled(Null, nulls[name], f"null.{name}") for name in NULLS}
    for name in NULLS:
        if found[name].scale <= 0:
            raise ConfigError(f"`calibration.null.{name}.scale` is 0, expected more")
    rows = {
        f"{search}.{statistic}": _filled(Row, row, f"{search}.{statistic}")
        for search, statistics in known.items()
        for statistic, row in (statistics if isinstance(statistics, dict) else {"": None}).items()
    }
    return Calibration(shared=shared, rows=rows, **found)


@cache
def shipped() -> Calibration:
    """The calibration that comes with ban-gate."""
    return from_tables(tomllib.loads(FILE.read_text(encoding="utf-8")))


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
    if fits and (kind == "str" or 0 <= value < float("inf")):
        return value
    meaning = "a text" if kind == "str" else "a number of 0 or more"
    raise ConfigError(f"`calibration.{place}` is {value!r}, expected {meaning}")


def _unlike(values: object, wanted: Iterable[str], place: str) -> ConfigError:
    """Says which keys a table has, and which it should have."""
    found = ", ".join(sorted(map(str, values))) if isinstance(values, dict) else repr(values)
    return ConfigError(
        f"`calibration.{place}` has {found or 'nothing'}, expected {', '.join(wanted)}"
    )
