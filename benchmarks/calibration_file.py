"""`calibration.toml` as text: tables of numbers and plain texts, which can be written one by one.

A table that is not written anew stays as it is, and so do the comments on top.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.atomic_files import write_text
from stages.verdict.calibration import FILE, NULLS, Calibration, from_tables

SHARED = "shared"
NULL_TABLES = tuple(f"null.{name}" for name in NULLS)


def text_before(path: Path) -> str:
    """What is written anew: the file, or the one that comes with ban-gate where there is none."""
    return (path if path.exists() else FILE).read_text(encoding="utf-8")


def parsed(text: str) -> Calibration:
    """The calibration that a text holds.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of the wrong type or below 0.
    """
    return from_tables(tomllib.loads(text))


def write(path: Path, text: str) -> None:
    """Writes a calibration in one step.

    Raises:
        ConfigError: the text is none.
    """
    parsed(text)
    write_text(path, text)


def rewritten(text: str, calibration: Calibration, names: Sequence[str]) -> str:
    """The text with the tables of the given names, nulls or statistics, as in `calibration`.

    Tables come in the order of `calibration`; those that it does not have are left out.
    """
    head, found = _parted(text)
    tables = {name: _table(name, values) for name, values in _tables(calibration).items()}
    kept = {
        name: found[name] if name in found and name not in names else table
        for name, table in tables.items()
    }
    return "\n".join(each.strip("\n") + "\n" for each in (head, *kept.values()) if each)


def _tables(calibration: Calibration) -> dict[str, Mapping[str, object]]:
    """The values of every table by its name in the file."""
    nulls = {name: getattr(calibration, name) for name in NULLS}
    return {
        SHARED: asdict(calibration.shared),
        **{f"null.{name}": asdict(null) for name, null in nulls.items()},
        **{name: asdict(row) for name, row in calibration.rows.items()},
    }


def _parted(text: str) -> tuple[str, dict[str, str]]:
    """What stands on top, and every table by its name, with what follows it."""
    head, *tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    return head, {each[1 : each.index("]")].strip(): each for each in tables}


def _table(name: str, values: Mapping[str, object]) -> str:
    """A table in TOML; a text is written as in JSON, whose escapes are TOML's too."""
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return "\n".join([f"[{name}]", *lines, ""])
