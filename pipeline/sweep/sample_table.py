"""Which clean samples a model gets: a table of name patterns, of which the first that fits counts.

[[samples]]
models = "fraud-*"
path = "fraud.npz"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.settings_file import read_toml
from pipeline.structure import structured
from stages.errors import ConfigError

EXAMPLE = """'[[samples]]' followed by 'models = "fraud-*"' and 'path = "fraud.npz"'"""


@dataclass(frozen=True, kw_only=True)
class SampleRule:
    """The samples of all models whose name fits the pattern `models`, such as `fraud-*`.

    `path` is what `--samples` takes, `preprocess` and `class_names` are as for `scan`, and
    `reference` names models of the same task that are known to be clean. Empty means "not given".
    """

    models: str
    path: str
    preprocess: str = ""
    class_names: str = ""
    reference: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Table:
    samples: tuple[SampleRule, ...]


def read_rules(path: Path) -> tuple[SampleRule, ...]:
    """The rules of a TOML file, in its order; its relative paths are relative to its folder.

    Raises:
        ConfigError: the file cannot be read, holds no rule, or a key is unknown.
    """
    try:
        rules = structured(read_toml(path, "table of samples", EXAMPLE), _Table).samples
    except ConfigError as error:
        raise ConfigError(f"in `{path}`: {error}") from error
    if not rules:
        raise ConfigError(f"`{path}` holds no rule; write {EXAMPLE}")
    return rules


def place_for(name: str, rules: Sequence[SampleRule]) -> int | None:
    """The place of the first rule whose pattern a model's name fits; None if there is none."""
    fitting = (place for place, each in enumerate(rules) if fnmatchcase(name, each.models))
    return next(fitting, None)
