"""The JSON Schema of `verdict.json`, as other programs validate with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from jsonschema import Draft202012Validator, FormatChecker

from tests.support.places import ROOT

SCHEMA = ROOT / "docs" / "schema" / "verdict-2.schema.json"


@cache
def validator() -> Draft202012Validator:
    """The validator of the schema, formats included; an array is a list, as in JSON."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return Draft202012Validator(schema, format_checker=FormatChecker())


def faults(document: Mapping[str, object]) -> list[str]:
    """What the schema has against a document, each with its place."""
    return [f"{each.json_path}: {each.message}" for each in validator().iter_errors(document)]
