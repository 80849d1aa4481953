"""The page of all keys of `verdict.json` says what the schema says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.verdict_keys import SCHEMA, page
from tests.support.places import ROOT


def test_the_page_is_made_from_the_schema_as_it_is() -> None:
    """Else run `python -m benchmarks.verdict_keys > docs/schema/keys.md`."""
    assert (ROOT / "docs" / "schema" / "keys.md").read_text(encoding="utf-8") == page()


def test_every_key_of_the_schema_has_a_row() -> None:
    """However deep it lies, with what it means."""
    rows = dict(re.findall(r"^\| `([^`]+)` \| .+ \| (.+) \|$", page(), flags=re.MULTILINE))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    keys = dict(_keys(schema))

    assert len(keys) > 80
    assert set(keys) == set(rows)
    assert all(rows.values())


def _keys(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys that are described anywhere in a schema."""
    for name, each in schema.get("properties", {}).items():
        if "description" in each or "$ref" in each:
            yield name, each.get("description", "")
    for each in schema.values():
        if isinstance(each, Mapping):
            yield from _keys(each)
