"""The page of all keys of `verdict.json`, made from its schema.

`python -m benchmarks.verdict_keys > docs/schema/keys.md` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).parents[1] / "docs" / "schema" / "verdict-2.schema.json"
INTRODUCTION = """# Every key of `verdict.json`

This page is made from [verdict-2.schema.json](verdict-2.schema.json) by `python -m benchmarks.verdict_keys`.
[README.md](README.md) says how to read the document as a whole.
`<name>` stands for any name, and `[]` for each item of a list.
"""  # noqa: E501 (a sentence per line, as in the page)

Schema = Mapping[str, Any]


def page() -> str:
    """The page: a table of the keys of the document, then one for each object in it."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = [INTRODUCTION, f"## The document\n\n{_table(schema, schema)}"]
    for place, found in _objects(schema, schema, ""):
        parts.append(f"## `{place}`\n\n{found['description']}\n\n{_table(found, schema)}")
    return "\n".join(parts)


def _objects(schema: Schema, whole: Schema, place: str) -> Iterator[tuple[str, Schema]]:
    """Every object with keys of its own below a schema, with its place, from the outside in."""
    for name, each in _inner(schema):
        found, inside = _resolved(each, whole), f"{place}.{name}".strip(".").replace(".[]", "[]")
        if "properties" in found:
            yield inside, found
        yield from _objects(found, whole, inside)


def _inner(schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield from schema.get("properties", {}).items()
    if "items" in schema:
        yield "[]", schema["items"]
    if isinstance(rest := schema.get("additionalProperties"), Mapping):
        yield "<name>", rest


def _table(schema: Schema, whole: Schema) -> str:
    lines = ["| key | is | meaning |", "|---|---|---|"]
    for name, each in schema["properties"].items():
        found = _resolved(each, whole)
        meaning = found["description"].replace("|", "\\|")
        lines.append(f"| `{name}` | {_kind(found, whole)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _kind(schema: Schema, whole: Schema) -> str:
    """What a value may be, in words."""
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if "array" in kinds:
        inner = _kind(_resolved(schema["items"], whole), whole)
        kinds = [f"list of ({inner})" if each == "array" else each for each in kinds]
    return " or ".join(kinds)


def _resolved(schema: Schema, whole: Schema) -> Schema:
    """The schema itself, or the definition that it points to."""
    if "$ref" not in schema:
        return schema
    found: Schema = whole["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return found


if __name__ == "__main__":
    print(page(), end="")
