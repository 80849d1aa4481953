"""What is wrong with settings, in a sentence each: which one, what was found, what is expected.

What is expected is said from the JSON Schema of the settings, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Schema = Mapping[str, Any]
NOUNS = {
    "integer": ("a whole number", "whole numbers"),
    "number": ("a number", "numbers"),
    "boolean": ("true or false", "values true or false"),
    "string": ("a text", "texts"),
    "object": ("a section of settings", "sections of settings"),
}
"""What a value of a type is called, and several of them."""
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument", "invalid_key")
LONGEST = 100  # characters of a value that are shown


def sentences(
    error: ValidationError, schema: Schema, unknown: Callable[[str], str], prefix: str = ""
) -> list[str]:
    """A sentence for each wrong setting; `unknown` gives that for a name that no setting has."""
    found = (_sentence(each, schema, unknown, prefix) for each in error.errors(include_url=False))
    return list(dict.fromkeys(found))  # of a setting that may be one of several, each complains


def expected(schema: Schema, whole: Schema | None = None) -> str:
    """What a setting may be, such as `a whole number from 1 to 10 (steps)`."""
    schema = _resolved(schema, whole or schema)
    if "what" in schema:
        return str(schema["what"])
    if "anyOf" in schema:
        kinds = (each for each in schema["anyOf"] if each.get("type") != "null")
        return " or ".join(dict.fromkeys(expected(each, whole) for each in kinds))
    if "enum" in schema:
        return f"one of {', '.join(map(repr, schema['enum']))}"
    if schema.get("type") == "array":
        return f"a list of {_number(schema)}{_several(_resolved(schema['items'], whole or schema))}"
    unit = f" ({schema['unit']})" if "unit" in schema else ""
    return f"{NOUNS[schema['type']][0]}{_range(schema)}{unit}"


def at(place: tuple[str | int, ...], schema: Schema) -> Schema:
    """The schema of the setting at a place."""
    *_, (_, found) = (("", _resolved(schema, schema)), *_way(place, schema))
    return found


def _way(place: tuple[str | int, ...], schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Each name on the way to a setting, with its schema; an index in a list is left out, and so is
    which of several kinds a value was tried as.
    """
    found = _resolved(schema, schema)
    for name in place:
        if isinstance(name, str):
            inner = _within(found, name, schema)
            if inner is None:
                return
            found = inner
            yield name, found


def _within(found: Schema, name: str, whole: Schema) -> Schema | None:
    """The schema of a name in a section, in each section of a list, or in one with any names."""
    section = _section(found, whole)
    inner = section.get("properties", {}).get(name, section.get("additionalProperties"))
    return _resolved(inner, whole) if isinstance(inner, Mapping) else None


def _section(schema: Schema, whole: Schema) -> Schema:
    """The section that a schema is, may be, or is a list of; else the schema itself."""
    found = _resolved(schema, whole)
    for each in (*found.get("anyOf", ()), found.get("items", {})):
        if "$ref" in each:
            return _resolved(each, whole)
    return found


def _sentence(
    error: ErrorDetails, schema: Schema, unknown: Callable[[str], str], prefix: str
) -> str:
    place = error["loc"]
    if error["type"] in UNKNOWN:
        return unknown(prefix + ".".join(str(name) for name in place if isinstance(name, str)))
    key = prefix + ".".join(name for name, _ in _way(place, schema))
    if error["type"] == "value_error":
        return f"setting `{key}` {error['ctx']['error']}"
    wanted = expected(at(place, schema), schema)
    if error["type"] == "missing":
        return f"setting `{key}` is missing, expected {wanted}"
    listed = "has" if any(isinstance(each, int) for each in place) else "is"
    return f"setting `{key}` {listed} {_shown(error['input'])}, expected {wanted}"


def _number(schema: Schema) -> str:
    """How many values a list may have, such as `1 to 3 `; empty where it may have any."""
    return f"{schema['minItems']} to {schema['maxItems']} " if "maxItems" in schema else ""


def _several(items: Schema) -> str:
    """What the values of a list may be."""
    if "enum" in items or "what" in items:
        return f"values, each {expected(items)}"
    return f"{NOUNS[items['type']][1]}{_range(items)}"


def _range(schema: Schema) -> str:
    """The bounds of a number, such as ` above 0 and at most 1`; empty where it has none."""
    if "minimum" in schema and "maximum" in schema:
        return f" from {_short(schema['minimum'])} to {_short(schema['maximum'])}"
    words = {"minimum": "of at least", "exclusiveMinimum": "above"}
    words |= {"maximum": "at most", "exclusiveMaximum": "below"}
    bounds = [f"{word} {_short(schema[name])}" for name, word in words.items() if name in schema]
    return f" {' and '.join(bounds)}" if bounds else ""


def _short(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _resolved(schema: Schema, whole: Schema) -> Schema:
    """The schema itself, or what it refers to."""
    if "$ref" in schema:
        found: Schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def names_in(schema: Schema) -> Iterator[str]:
    """The full name of every section and setting of a schema."""
    yield from _names(schema, schema, "")


def _names(schema: Schema, whole: Schema, prefix: str) -> Iterator[str]:
    found = _section(schema, whole)
    named = dict(found.get("properties", {}))
    if isinstance(found.get("additionalProperties"), Mapping):
        named["NAME"] = found["additionalProperties"]
    for name, each in named.items():
        yield f"{prefix}{name}"
        yield from _names(each, whole, f"{prefix}{name}.")
