"""What a policy and the listener may be told is listed; their pages are made from the classes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from mlflow_project.cli.main import main
from mlflow_project.listener.config import load_listen_config
from pipeline.gate.policy import Policy, read_policy
from stages.errors import ConfigError
from tests.support.places import ROOT

KINDS = ("policy", "listener")


def told(*arguments: str) -> str:
    """What `ban-gate settings` prints."""
    done = CliRunner().invoke(main, ["settings", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_pages_of_the_docs_are_current(kind: str) -> None:
    """Else run `ban-gate settings --of KIND --markdown > docs/KIND.md`."""
    page = (ROOT / "docs" / f"{kind}.md").read_text(encoding="utf-8")

    assert page == told("--of", kind, "--markdown")


def test_the_file_of_a_policy_is_the_default_policy(tmp_path: Path) -> None:
    """Whoever saves it unchanged has changed nothing."""
    (tmp_path / "policy.toml").write_text(told("--of", "policy"), encoding="utf-8")

    assert read_policy(tmp_path / "policy.toml") == Policy()


def test_the_file_of_the_listener_lacks_only_a_model(tmp_path: Path) -> None:
    """Which nobody but its owner can name."""
    (tmp_path / "listen.toml").write_text(told("--of", "listener"), encoding="utf-8")

    with pytest.raises(ConfigError, match="names no model to gate"):
        load_listen_config(tmp_path / "listen.toml")


@pytest.mark.parametrize(
    ("kind", "good", "wrong"),
    [
        (
            "policy",
            "max_age = '2w'\n[[waiver]]\nmodel='a'\nreason='b'\nexpires='2026-12-31'",
            "maxage=1",
        ),
        ("policy", "samples = ['" + "ab" * 32 + "']", "samples = ['AB']"),
        ("listener", "[models.net]\nsamples = 'clean.npz'", "[models.net]"),
        ("listener", "max_age = 3", "max_age = 0"),
    ],
)
def test_the_schema_takes_what_a_file_may_hold(kind: str, good: str, wrong: str) -> None:
    """For editors, which check as one writes."""
    schema = json.loads(told("--of", kind, "--json-schema"))
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)

    assert check.is_valid(tomllib.loads(good))
    assert not check.is_valid(tomllib.loads(wrong))
