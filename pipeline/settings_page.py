"""Every setting of a scan as a JSON Schema, as a file to start from, and as a page of the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from pipeline.config import ScanConfig, config_dict, file_schema
from stages.searches import SEARCHES
from stages.unfit import Schema, at, expected

CALIBRATION = "calibration"
"""The section that has a file of its own, which is too long for a page."""
PAGE = """# Settings of a scan

This page is made from the settings themselves, by `ban-gate settings --markdown`.

`--config FILE.toml` reads settings from a file, one section each.
`--set KEY=VALUE` gives one, or several separated by `;`, and wins over the file.
Options such as `--seed` win over both.
`ban-gate settings` prints a file to start from, or what a `--config` and `--set` come to.
`ban-gate settings --json-schema` prints the JSON Schema, for editors and other programs.

What is unknown, of another type (a text is no number) or out of range is refused with exit code 2.
All that is wrong is told at once, before a model is opened.
[stability.md](stability.md) says which of these names are kept from release to release.
"""
OF_CALIBRATION = (
    "What clean models show, as measured; the defaults stand in `stages/verdict/calibration.toml`."
)
ROW_FIELDS = "`calibration.<search>.<statistic>.<alone or referenced>.<name>`"


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of a file of settings, in which each may be left out."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= deepcopy(dict(file_schema()))
    for table in (schema, *schema["$defs"].values()):
        table.pop("required", None)
        for each in table["properties"].values():
            if "$ref" in each:
                each.pop("default", None)
    for search in SEARCHES:
        describe_inherited(search.settings, schema["$defs"])
    return schema


def settings_file(config: ScanConfig) -> str:
    """A TOML file with every setting but those of the calibration, each explained."""
    schema, values = settings_schema(), config_dict(config)
    lines = ["# Every setting of a scan: what it means, what it may be, and what it is."]
    lines += [f"# [{CALIBRATION}] is left out: it has some hundred numbers.", ""]
    for section, settings in _sections(schema):
        place = values if section is None else values[section]
        if section is not None:
            lines += [f"# {flat(at((section,), schema))}", f"[{section}]"]
        for name, each in settings:
            value = place[name]  # type: ignore[index] # a section is a dictionary
            written = f"{name} = {json.dumps(value)}" if value is not None else f"# {name} ="
            lines += [f"# {flat(each)}", f"# {capital(expected(each, schema))}.", written]
        lines.append("")
    return "\n".join(lines)


def settings_markdown() -> str:
    """The page of all settings for the docs."""
    schema, values = settings_schema(), config_dict(ScanConfig())
    parts = [PAGE]
    for section, settings in _sections(schema):
        place = values if section is None else values[section]
        head = "Outside any section" if section is None else f"`[{section}]`"
        meaning = "" if section is None else f"{flat(at((section,), schema))}\n\n"
        rows = [(name, each, default_text(place[name])) for name, each in settings]  # type: ignore[index] # as above
        parts.append(f"## {head}\n\n{meaning}{table(rows, schema)}")
    parts.append(_calibration(schema))
    return "\n".join(parts)


def _sections(schema: Schema) -> Iterator[tuple[str | None, list[tuple[str, Schema]]]]:
    """The settings outside any section, then those of each, by name; not the calibration."""
    outside = {name: each for name, each in schema["properties"].items() if "$ref" not in each}
    yield None, list(outside.items())
    for name in schema["properties"]:
        if name not in outside and name != CALIBRATION:
            yield name, list(at((name,), schema)["properties"].items())


def _calibration(schema: Schema) -> str:
    """What the calibration's numbers mean, of which there are the same for each statistic."""
    parts = [f"## `[{CALIBRATION}]`\n\n{OF_CALIBRATION}\n"]
    places = {
        "Tail": ROW_FIELDS,
        "Row": "`calibration.<search>.<statistic>.<name>`",
        "Null": "`calibration.null.<alone or referenced>.<name>`",
        "Range": "`calibration.range.<name>`",
    }
    for kind, place in places.items():
        found = schema["$defs"][kind]
        rows = [
            (name, each, "") for name, each in found["properties"].items() if "$ref" not in each
        ]
        parts.append(f"{place}: {flat(found)}\n\n{table(rows, schema)}")
    return "\n".join(parts)


def table(rows: list[tuple[str, Schema, str]], schema: Schema) -> str:
    """A table of settings; without their defaults where none is given."""
    columns = [("setting", [f"`{name}`" for name, _, _ in rows])]
    columns += [("default", [default for _, _, default in rows])] if rows[0][2] else []
    columns += [("is", [expected(each, schema) for _, each, _ in rows])]
    columns += [("meaning", [flat(each).replace("|", "\\|") for _, each, _ in rows])]
    lines = [[title for title, _ in columns], ["---"] * len(columns)]
    lines += map(list, zip(*(cells for _, cells in columns), strict=True))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def describe_inherited(kind: Any, definitions: Mapping[str, Any]) -> None:
    """Says of settings that a class inherits what is said of them where they are from."""
    described = definitions[kind.__name__]["properties"]
    for base in kind.__mro__[1:]:
        for name, info in getattr(base, "__pydantic_fields__", {}).items():
            if name in described and info.description:
                described[name].setdefault("description", info.description)


def default_text(value: object) -> str:
    """A default as the page shows it."""
    return "none" if value is None else f"`{json.dumps(value)}`"


def flat(schema: Schema) -> str:
    """What a setting or a section means, on one line."""
    return " ".join(schema["description"].split())


def capital(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[0].upper() + text[1:]
