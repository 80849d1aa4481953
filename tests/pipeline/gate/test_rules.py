"""One file has a policy for each model: the first rule that fits its name and tags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.gate.policy import Policy
from pipeline.gate.rules import Rules, read_rules
from stages.errors import ConfigError

TEXT = """
max_age = "8w"
least_samples = 200

[[rule]]
models = "fraud-*"
tags = {stage = "trial*"}
approvals = 0

[[rule]]
models = ["fraud-*", "credit"]
protected_aliases = ["live"]
false_alarm_rate = 0.02
references = 5
approvals = 1

[[rule]]
models = "*"
tags = {team = "vision"}
least_samples = 500
"""
Load = Callable[[str], Rules]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Reads rules from a text."""

    def run(text: str) -> Rules:
        (tmp_path / "policy.toml").write_text(text)
        return read_rules(tmp_path / "policy.toml")

    return run


def test_the_first_rule_that_fits_counts(load: Load) -> None:
    """It changes what it names, and the rest is the file's own."""
    rules = load(TEXT)

    fraud = rules.of("fraud-cards", {})
    assert (fraud.protected_aliases, fraud.references, fraud.approvals) == (("live",), 5, 1)
    assert (fraud.max_age, fraud.least_samples, fraud.false_alarm_rate) == ("8w", 200, 0.02)
    assert rules.of("credit", {"team": "vision"}) == fraud
    assert rules.of("fraud-cards", {"stage": "trial 3"}).approvals == 0
    assert rules.of("fraud-cards", {"stage": "live"}) == fraud
    assert rules.of("Fraud-cards", {}) == rules.policy  # names are compared as they are
    assert rules.of("faces", {"team": "vision"}).least_samples == 500
    assert rules.of("faces", {"team": "other"}) == rules.policy
    assert rules.need_tags


def test_without_rules_or_a_file_there_is_one_policy(load: Load) -> None:
    """And nobody's tags are asked for."""
    assert read_rules(None) == Rules(policy=Policy())
    rules = load("approvals = 1")
    assert rules.of("any", {}) == Policy(approvals=1)
    assert not rules.need_tags


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rule = 3", "`rule` is no list of rules"),
        ("[[rule]]\napprovals = 1", "rule 1 names no models"),
        ('[[rule]]\nmodels = ""', "rule 1 names no models"),
        ("[[rule]]\nmodels = [3]", "rule 1 names no models"),
        ('[[rule]]\nmodels = "a"\ntags = {x = 3}', "`tags` of rule 1 are no texts"),
        ('[[rule]]\nmodels = "a"\n[[rule]]\nmodels = "b"\naprovals = 1', r"in rule 2 \(`b`\)"),
        ('[[rule]]\nmodels = "a"\napprovals = -1', r"in rule 1 \(`a`\).*`approvals` is -1"),
        ("approval = 1", "unknown setting `approval`"),
    ],
)
def test_a_wrong_rule_is_named(load: Load, text: str, sentence: str) -> None:
    """One sentence, with its number and what is wrong."""
    with pytest.raises(ConfigError, match=sentence):
        load(text)
