"""A policy for each registered model: the rules of one file, by patterns of names and by tags.

The first rule that fits a model counts; it changes some keys of the file's own policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pipeline.gate.policy import EXAMPLE, Policy, policy_of
from pipeline.settings_file import read_toml
from stages.errors import ConfigError

RULE, MODELS, TAGS = "rule", "models", "tags"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The policy of all models whose name fits one of the patterns and that have all of the tags.

    Patterns are those of a shell, such as `fraud-*`; a tag's value may be one, too.
    """

    models: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: Policy

    def fits(self, model: str, tags: Mapping[str, str]) -> bool:
        """Whether the rule is about a registered model with these tags."""
        return any(fnmatchcase(model, each) for each in self.models) and all(
            name in tags and fnmatchcase(tags[name], value) for name, value in self.tags.items()
        )


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is demanded of each model: by the first rule that fits it, else by `policy`."""

    policy: Policy = field(default_factory=Policy)
    rules: tuple[Rule, ...] = ()

    def of(self, model: str, tags: Mapping[str, str]) -> Policy:
        """The policy of a registered model with these tags."""
        fitting = (each.policy for each in self.rules if each.fits(model, tags))
        return next(fitting, self.policy)

    @property
    def need_tags(self) -> bool:
        """Whether a model's tags matter."""
        return any(each.tags for each in self.rules)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """All policies that may count, the file's own first."""
        return (self.policy, *(each.policy for each in self.rules))


def read_rules(path: Path | None) -> Rules:
    """The rules in a TOML file; the default policy for all models without a file.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, a value is wrong, or a trusted key
            is not a key.
    """
    if path is None:
        return Rules()
    document = read_toml(path, "policy", EXAMPLE)
    given = document.pop(RULE, [])
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise ConfigError(f"policy `{path}`: `{RULE}` is no list of rules; write [[{RULE}]]")
    return Rules(
        policy=policy_of(document, path),
        rules=tuple(
            _rule(each, document, path, number) for number, each in enumerate(given, start=1)
        ),
    )


def _rule(given: dict[str, Any], whole: dict[str, Any], path: Path, number: int) -> Rule:
    changed = dict(given)
    models, tags = changed.pop(MODELS, ()), changed.pop(TAGS, {})
    patterns = (models,) if isinstance(models, str) else tuple(models)
    if not patterns or not all(isinstance(each, str) and each for each in patterns):
        raise ConfigError(
            f"policy `{path}`: rule {number} names no models; give a pattern such as"
            f" '{MODELS} = \"fraud-*\"'"
        )
    if not isinstance(tags, dict) or not all(isinstance(each, str) for each in tags.values()):
        raise ConfigError(
            f"policy `{path}`: `{TAGS}` of rule {number} are no texts by name; write"
            f" '{TAGS} = {{team = \"risk\"}}'"
        )
    try:
        policy = policy_of({**whole, **changed}, path)
    except ConfigError as error:
        raise ConfigError(f"in rule {number} (`{patterns[0]}`): {error}") from error
    return Rule(models=patterns, tags=tags, policy=policy)
