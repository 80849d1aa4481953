"""Settings out of a TOML file, strictly: those of a policy or a listener; a scan's are of several
classes, which `config` gathers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.did_you_mean import unknown_setting
from stages.errors import ConfigError
from stages.unfit import names_in, sentences

Kind = TypeVar("Kind")


def read_toml(path: Path, kind: str, example: str) -> dict[str, object]:
    """The tables of a TOML file, which messages call `kind` and explain by an example.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{kind} `{path}` cannot be read ({error}); expected a TOML file such as {example}"
        ) from error


def read_settings(path: Path, kind: type[Kind], name: str, example: str) -> Kind:
    """The settings in a TOML file, which messages call `name` and explain by an example.

    Raises:
        ConfigError: the file cannot be read, or as `settings_of`; it is named.
    """
    given = read_toml(path, name, example)
    try:
        return settings_of(given, kind, f"`ban-gate settings --of {name}` lists all")
    except ConfigError as error:
        raise ConfigError(f"{name} `{path}`: {error}") from error


def settings_of(given: Mapping[str, Any], kind: type[Kind], where: str, prefix: str = "") -> Kind:
    """A class of settings out of what was given; messages put `prefix` before each name, and say
    `where` all are listed.

    Raises:
        ConfigError: a name is unknown or missing, or a value is of the wrong type or out of range.
    """
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_python(given)
    except ValidationError as error:
        schema = adapter.json_schema()
        known = [f"{prefix}{each}" for each in names_in(schema)]
        wrong = sentences(error, schema, lambda name: unknown_setting(name, known, where), prefix)
        raise ConfigError("; ".join(wrong)) from error
