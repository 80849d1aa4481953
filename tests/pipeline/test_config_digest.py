"""The digest of the settings changes with those that can change a verdict, and with no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.config import ScanConfig, config_dict, config_digest, load_config
from stages.searches import SEARCHES

DEFAULT = config_digest(ScanConfig())


def names(settings: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """The default of every setting by its full name."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= names(value, f"{place}{name}.")
        else:
            found[f"{place}{name}"] = value
    return found


SETTINGS = names(config_dict(ScanConfig()))
MEMORY = {f"{search.name}.memory_mb" for search in SEARCHES}
OUTSIDE = {
    name
    for name in SETTINGS
    if name in MEMORY
    or name.split(".")[0] in ("device", "isolation", "export")
    or name == "judge.until_certain"
}
"""Settings of how a scan is run, not of what it finds."""


def another(name: str) -> str:
    """An override that gives a setting another value that fits."""
    match SETTINGS[name]:
        case bool() as given:
            other = str(not given).lower()
        case int() as given:
            other = str(given + 1)
        case float() as given:
            other = str(0.97 * given + 0.0004)
        case [_, *_]:
            other = "[1]"
        case []:
            other = "['TCP']"
        case None:
            other = "0.5"
        case _ if name.startswith("arithmetic."):
            other = {"precision": "bfloat16", "layout": "contiguous"}[name.split(".")[1]]
        case _:
            other = "cpu"
    return f"{name}={other}"


def test_equal_settings_have_one_digest() -> None:
    """However they were given, and in which order."""
    least = "calibration.warp.standardised_margin.alone.least"
    one = load_config(None, ["blend.faint=0.25", f"{least}=1"])
    other = load_config(None, [f"{least}=1.0; blend.faint=0.25"])

    assert config_digest(one) == config_digest(other)
    assert config_digest(load_config()) == DEFAULT
    assert len(DEFAULT) == 64


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - OUTSIDE))
def test_what_can_change_a_verdict_changes_the_digest(name: str) -> None:
    """Seed, every setting of a search, of the screen, and every number of the calibration."""
    changed = load_config(None, [another(name)])

    assert changed != ScanConfig()
    assert config_digest(changed) != DEFAULT


@pytest.mark.parametrize("name", sorted(OUTSIDE))
def test_where_and_how_a_scan_runs_does_not(name: str) -> None:
    """Device, memory, isolation, export, and when a scan may end: two machines agree on the
    settings of a verdict.
    """
    changed = load_config(None, [another(name)])

    assert changed != ScanConfig()
    assert config_digest(changed) == DEFAULT


@pytest.mark.parametrize("key", ["date", "command"])
def test_where_the_calibration_comes_from_does_not(key: str) -> None:
    """Only its numbers count."""
    changed = load_config(None, [f"calibration.null.alone.{key}=another"])

    assert changed != ScanConfig()
    assert config_digest(changed) == DEFAULT
