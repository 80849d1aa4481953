"""Every setting has a range, and what lies outside it, or is of another type, is refused.

All of it follows from the JSON Schema: a new setting is tested by being there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pipeline.config import ScanConfig, config_digest, file_schema, flat_settings, load_config
from pipeline.settings_page import settings_schema
from stages.errors import ConfigError
from stages.unfit import at, expected, names_in

SCHEMA = file_schema()
SETTINGS = {
    name: at(tuple(name.split(".")), SCHEMA)
    for name in names_in(SCHEMA)
    if "properties" not in at(tuple(name.split(".")), SCHEMA)
}
"""The schema of every setting by its full name."""
DESCRIBED = settings_schema()
DEFAULTS = flat_settings(ScanConfig())
every_setting = pytest.mark.parametrize("name", SETTINGS)


def only(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a setting may be where it is given."""
    given: list[Mapping[str, Any]] = schema.get("anyOf", [schema])
    (kind,) = (each for each in given if each.get("type") != "null")
    return kind


def beyond(schema: Mapping[str, Any]) -> Iterator[float]:
    """The number just outside each bound."""

    def next_to(bound: float, direction: int) -> float:
        whole = schema["type"] == "integer"
        return bound + direction if whole else math.nextafter(bound, direction * math.inf)

    if "minimum" in schema:
        yield next_to(schema["minimum"], -1)
    if "maximum" in schema:
        yield next_to(schema["maximum"], 1)
    yield from (schema[each] for each in ("exclusiveMinimum", "exclusiveMaximum") if each in schema)


def wrong(schema: Mapping[str, Any]) -> Iterator[str]:
    """Values that do not fit, as TOML."""
    kind = schema["type"]
    if kind in ("integer", "number"):
        yield from map(repr, beyond(schema))
        yield from ("nan", "inf", "-inf", '"3"', "true", "[3]", "1979-05-27", "1" + "0" * 400)
    if kind == "integer":
        yield "1.5"
    if kind == "boolean":
        yield from ("1", '"true"', "[true]")
    if kind == "string":
        yield from ("1", "true", '["auto"]', "1979-05-27")
    if "enum" in schema:
        yield '"another"'
    if kind == "array":
        first = schema["items"].get("minimum", *schema["items"].get("enum", [])[:1])
        yield str([first] * (schema["maxItems"] + 1))
        yield from (f"[{each}]" for each in wrong(schema["items"]))
        yield from ("3", '"[3]"', *(["[]"] if schema["minItems"] else []))
    yield "{ deeper = 1 }"


@every_setting
def test_what_does_not_fit_is_refused(name: str) -> None:
    """The sentence names the setting, what was found, and all that it may be."""
    schema = SETTINGS[name]

    for value in wrong(only(schema)):
        with pytest.raises(ConfigError) as caught:
            load_config(None, [f"{name}={value}"])

        sentence = str(caught.value)
        assert sentence.startswith(f"setting `{name}` "), value
        assert sentence.endswith(f", expected {expected(schema, SCHEMA)}"), value


@every_setting
def test_a_number_has_a_smallest_and_a_largest_value(name: str) -> None:
    """Only switches, choices and texts have none; a list has both for its length as well."""
    kind = only(SETTINGS[name])
    if kind["type"] == "array":
        assert kind["minItems"] >= 0
        assert kind["maxItems"] < 1000
        kind = kind["items"]

    if kind["type"] in ("integer", "number"):
        assert {"minimum", "exclusiveMinimum"} & set(kind)
        assert {"maximum", "exclusiveMaximum"} & set(kind)
    else:
        assert kind["type"] in ("boolean", "string")


@every_setting
def test_a_setting_says_what_it_means(name: str) -> None:
    """In whole sentences, also where a class inherits it from another."""
    meaning = at(tuple(name.split(".")), DESCRIBED)["description"]

    assert len(meaning) > 10
    assert meaning.endswith(".")


def test_every_setting_is_tested() -> None:
    """Those that a verdict is reported with, and where the calibration's numbers are from."""
    assert set(DEFAULTS) <= set(SETTINGS)
    assert {name.rpartition(".")[2] for name in set(SETTINGS) - set(DEFAULTS)} == {
        "date",
        "command",
    }


def test_all_defaults_together_are_accepted() -> None:
    """Written down one by one they are the defaults, and have their digest."""
    given = {name: value for name, value in DEFAULTS.items() if value is not None}

    read = load_config(None, [f"{name}={json.dumps(value)}" for name, value in given.items()])

    assert read == ScanConfig()
    assert config_digest(read) == config_digest(ScanConfig())
