"""The calibration: a row for every statistic, read strictly, and the same when written down."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import fields, replace
from datetime import date
from typing import Any

import pytest

from stages.errors import ConfigError
from stages.searches import SPECS, STATISTICS
from stages.verdict.calibration import (
    FILE,
    NULLS,
    Calibration,
    Null,
    Range,
    Row,
    Tail,
    from_tables,
    shipped,
)
from tests.support.profiles import SETTINGS

TAILS = ("alone", "referenced")
PLACES = [
    *(("range", field.name) for field in fields(Range)),
    *(("null", null, name) for null in NULLS for name in ("location", "scale", "growth", "n")),
    *(
        (*statistic.split("."), tail, name)
        for statistic in STATISTICS
        for tail in TAILS
        for name in ("centre", "least", "upper", "scale")
    ),
    *((*statistic.split("."), "n") for statistic in STATISTICS),
]
"""Where every number of the calibration stands."""


def changed(place: tuple[str, ...], value: object) -> dict[str, Any]:
    """The shipped tables with one value changed or added."""
    tables = copy.deepcopy(shipped().tables())
    table = tables
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = value
    return tables


def refusal(tables: dict[str, Any]) -> str:
    """The sentence with which tables are refused."""
    with pytest.raises(ConfigError) as caught:
        from_tables(tables)
    return str(caught.value)


def test_every_statistic_of_every_search_has_a_row() -> None:
    """And no row is of a statistic that no search gives."""
    assert set(shipped().rows) == set(STATISTICS)
    assert all(shipped().row(name) == shipped().rows[name] for name in STATISTICS)


def test_every_number_says_where_it_comes_from() -> None:
    """From how many models, when, and by which command."""
    for each in (shipped().alone, shipped().referenced, *shipped().rows.values()):
        assert each.n > 0
        assert date.fromisoformat(each.date) > date(2026, 1, 1)
        assert each.command.startswith("python -m benchmarks.")


@pytest.mark.parametrize("calibration", [shipped(), SETTINGS], ids=["shipped", "by hand"])
def test_what_is_written_as_tables_is_read_back(calibration: Calibration) -> None:
    """Every number and every origin."""
    assert from_tables(calibration.tables()) == calibration


def test_the_file_holds_the_tables_of_the_calibration() -> None:
    """Nothing in it is left unread, and nothing is added."""
    assert tomllib.loads(FILE.read_text(encoding="utf-8")) == shipped().tables()


def test_a_statistic_without_a_row_says_how_to_get_one() -> None:
    """The statistic, the file and the command."""
    with pytest.raises(ConfigError, match=r"`blend\.new` has no row in `calibration\.toml`") as it:
        shipped().row("blend.new")

    assert "python -m benchmarks.calibration" in str(it.value)


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf"), True, "1", None, [1.0]])
@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_every_number_is_0_or_more(place: tuple[str, ...], value: object) -> None:
    """Whatever else stands there is refused, and the sentence names its full key; only the centre
    of a tail, which is a median of values, may lie below 0.
    """
    key = ".".join(place)

    if place[-1] == "centre" and type(value) in (int, float) and value < 0:  # type: ignore[operator]
        from_tables(changed(place, value))
    else:
        assert f"`calibration.{key}` is " in refusal(changed(place, value))


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_whole_number_is_a_number_as_well(place: tuple[str, ...]) -> None:
    """1 and 1.0 are the same calibration where a fraction may stand; counts are whole."""
    whole = from_tables(changed(place, 1))

    if place[-1] == "n" or place[0] == "range":
        assert f"`calibration.{'.'.join(place)}` is 1.0" in refusal(changed(place, 1.0))
    else:
        assert repr(whole) == repr(from_tables(changed(place, 1.0)))


@pytest.mark.parametrize(
    "place",
    [
        *(("null", null, "scale") for null in NULLS),
        *(("blend", "margin", tail, name) for tail in TAILS for name in ("upper", "scale")),
    ],
    ids=".".join,
)
def test_what_is_divided_by_is_more_than_0(place: tuple[str, ...]) -> None:
    """The scales of the nulls, and both numbers that shape a tail."""
    key = f"calibration.{'.'.join(place)}"

    expected = f"setting `{key}` is 0, expected a number above 0 and at most 1e+06"
    assert refusal(changed(place, 0)) == expected


def test_a_number_beyond_any_float_is_refused() -> None:
    """TOML's whole numbers have no end."""
    place = ("blend", "margin", "alone", "least")

    assert "`calibration.blend.margin.alone.least` is 1000" in refusal(changed(place, 10**400))


@pytest.mark.parametrize(
    "place",
    [
        *(("range", "surprise"), ("null", "surprise"), ("null", "alone", "surprise")),
        *(("blend", "margin", "surprise"), ("blend", "margin", "alone", "surprise")),
    ],
)
def test_an_unknown_key_is_refused(place: tuple[str, ...]) -> None:
    """The sentence names it in full."""
    assert refusal(changed(place, 1.0)) == f"unknown setting `calibration.{'.'.join(place)}`"


@pytest.mark.parametrize("value", [None, 3, [], "text", {}])
@pytest.mark.parametrize(
    "place",
    [
        *(("range",), ("null",), ("null", "alone"), ("blend",), ("blend", "margin")),
        ("blend", "margin", "referenced"),
    ],
)
def test_what_is_no_table_is_refused(place: tuple[str, ...], value: object) -> None:
    """Also an empty one, but for a search without statistics, which says nothing."""
    tables = changed(place, value)

    if place == ("blend",) and value == {}:
        assert not any(name.startswith("blend.") for name in from_tables(tables).rows)
    else:
        assert f"`calibration.{'.'.join(place)}" in refusal(tables)


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (Row, ("blend", "margin")),
        (Tail, ("blend", "margin", "alone")),
        (Null, ("null", "alone")),
        (Range, ("range",)),
    ],
)
def test_a_missing_key_is_refused(kind: Any, place: tuple[str, ...]) -> None:
    """Every number; where it comes from may be unsaid."""
    for field in (each for each in fields(kind) if each.name not in ("date", "command")):
        tables = changed((*place, field.name), 0)
        table = tables
        for name in place:
            table = table[name]
        del table[field.name]

        key = f"calibration.{'.'.join(place)}.{field.name}"
        assert f"setting `{key}` is missing, expected " in refusal(tables)


@pytest.mark.parametrize("name", STATISTICS)
def test_only_what_is_said_of_the_whole_model_has_a_centre(name: str) -> None:
    """All other statistics are measured against the classes beside them."""
    row = shipped().row(name)

    if not SPECS[name].whole:
        assert row.alone.centre == row.referenced.centre == 0
    assert row.alone.least >= 0
    assert row.referenced.least >= 0


def test_a_model_is_outside_of_the_range_beyond_its_ends() -> None:
    """At both ends it is still inside; what is outside is told, classes before images."""
    known = SETTINGS.range
    few, many, small, large = 5, 100, 8, 224

    for classes in (few, 50, many):
        for side in (small, 32, large):
            assert known.outside(classes, side) == ""
    assert known.outside(few - 1, small) == "4 classes"
    assert known.outside(many + 1, large) == "101 classes"
    assert known.outside(many, small - 1) == "images of 7 pixels"
    assert known.outside(1000, large + 1) == "1000 classes, images of 225 pixels"


def test_the_smallest_p_is_one_model_more_than_there_were() -> None:
    """Of 63 models none is rarer than one in 64."""
    assert replace(SETTINGS.alone, n=63).smallest_p == 1 / 64
