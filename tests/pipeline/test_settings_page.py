"""The page, the file and the JSON Schema of all settings are made from the settings themselves."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pipeline.config import ScanConfig, config_dict, load_config
from pipeline.settings_page import settings_file, settings_markdown, settings_schema
from tests.support.places import ROOT

CHANGED = ("seed=7", "judge.false_alarm_rate=0.01", "parity.batches=[3]", "output.name='a\\tb'")
"""Among them a text that TOML and JSON write alike."""


def test_the_page_of_the_docs_is_current() -> None:
    """Else run `ban-gate settings --markdown > docs/settings.md`."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_markdown()


@pytest.mark.parametrize("overrides", [(), CHANGED, ("untargeted_noise.epsilon=0.5",)])
def test_the_file_holds_what_is_set(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    """Read back, it gives the same settings."""
    config, path = load_config(None, overrides), tmp_path / "scan.toml"

    path.write_text(settings_file(config), encoding="utf-8")

    assert load_config(path) == config


def test_the_file_has_every_setting_with_its_meaning_and_range() -> None:
    """But the calibration's, and with a comment in place of one that has no value."""
    text = settings_file(ScanConfig())

    found, wanted = tomllib.loads(text), config_dict(ScanConfig())
    del wanted["calibration"]
    wanted["untargeted_noise"] = {"steps": 30, "samples": 32}
    assert found == wanted
    assert "# epsilon =" in text
    assert "# Adam steps.\n# A whole number from 1 to 10000 (steps).\nsteps = 14" in text


def test_the_schema_is_one_and_takes_what_a_file_may_hold() -> None:
    """All settings, some, or none; what is out of range or unknown does not pass."""
    schema = settings_schema()
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)

    for each in ({}, {"blend": {"faint": 0.2}}, json.loads(json.dumps(config_dict(ScanConfig())))):
        assert check.is_valid(each)
    for wrong in ({"blend": {"faint": 2}}, {"blend": {"fain": 0.2}}, {"seed": -1}, {"warp": 3}):
        assert not check.is_valid(wrong)
