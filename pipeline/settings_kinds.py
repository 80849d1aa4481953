"""The settings of one class, such as a policy: a JSON Schema, a file to start from, and a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from pipeline.settings_page import capital, default_text, describe_inherited, flat, table
from stages.unfit import Schema, expected

COMMAND = "ban-gate settings --of {name}"
PAGE = """# {title}

This page is made from the settings themselves, by `{command} --markdown`.
`{command}` prints a file to start from, and with `--json-schema` a JSON Schema, for editors.

{about}

What is unknown, of another type (a text is no number) or out of range is refused with exit code 2.
All that is wrong is told at once, before anything slow is loaded.
"""


@dataclass(frozen=True, kw_only=True)
class SettingsKind:
    """A class of settings that a TOML file holds, and how it is told about.

    `places` are the headings in a file of the classes within it, by their names.
    """

    name: str
    title: str
    about: str
    kind: type[Any]
    places: dict[str, str]

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a file."""
        schema = TypeAdapter(self.kind).json_schema()
        describe_inherited(self.kind, {self.kind.__name__: schema})
        return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema

    def file(self) -> str:
        """A TOML file with what is so by default, each explained; the rest is commented out."""
        schema = self.schema()
        lines = [f"# {self.title}: what each means, what it may be, and what it is.", ""]
        lines += _lines(schema, schema, "")
        for name, place in self.places.items():
            lines += ["", f"# {place}", *_lines(schema["$defs"][name], schema, "# ")]
        return "\n".join(lines) + "\n"

    def markdown(self) -> str:
        """The page of the docs."""
        schema, command = self.schema(), COMMAND.format(name=self.name)
        parts = [PAGE.format(title=self.title, command=command, about=self.about)]
        parts.append(table(_rows(schema), schema))
        for name, place in self.places.items():
            section = schema["$defs"][name]
            parts.append(f"## `{place}`\n\n{flat(section)}\n\n{table(_rows(section), schema)}")
        return "\n".join(parts)


def _plain(schema: Schema) -> dict[str, Schema]:
    """The settings of a section that are no sections themselves."""
    named = schema["properties"].items()
    return {name: each for name, each in named if "$ref" not in json.dumps(each)}


def _rows(schema: Schema) -> list[tuple[str, Schema, str]]:
    needed = schema.get("required", ())
    return [
        (name, each, "needed" if name in needed else default_text(each.get("default")))
        for name, each in _plain(schema).items()
    ]


def _lines(schema: Schema, whole: Schema, comment: str) -> list[str]:
    lines = []
    for name, each in _plain(schema).items():
        default = each.get("default")
        written = f"{name} = {json.dumps(default)}" if default is not None else f"# {name} ="
        lines += [f"# {flat(each)}", f"# {capital(expected(each, whole))}."]
        lines.append(written if written.startswith("#") else comment + written)
    return lines
