"""What a setting of the release before is called now is said, and it is never silently dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import ScanConfig, load_config
from pipeline.renamed import GONE, RENAMED
from stages.errors import ConfigError
from stages.searches import STATISTICS
from stages.verdict.calibration import shipped

SECTIONS = {old: new for old, new in RENAMED.items() if "." not in old}
"""Sections that have another name now."""
KEPT = {
    section: [field.name for field in fields(own)]
    for section, own in {
        "noise": ScanConfig().searches["neuron_noise"],
        "mask": ScanConfig().feature_mask,
        "reference": ScanConfig().published_ban,
    }.items()
}
"""Settings, by their section of before, that are known by the same name in the section of now."""


def refusal(*overrides: str, file: Path | None = None) -> str:
    """The sentence with which settings are refused."""
    with pytest.raises(ConfigError) as caught:
        load_config(file, overrides)
    return str(caught.value)


def places(settings: Mapping[str, Any], place: str = "") -> set[str]:
    """The full names of all sections and settings."""
    found = set()
    for name, value in settings.items():
        found.add(f"{place}{name}")
        if isinstance(value, Mapping):
            found |= places(value, f"{place}{name}.")
    return found


@pytest.mark.parametrize("value", ["1", "[1.0]", "{}", "text"])
@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_renamed_setting_is_told_its_present_name(old: str, new: str, value: str) -> None:
    """Whatever its value is; a setting that is meant must not be ignored."""
    assert refusal(f"{old}={value}") == f"setting `{old}` is now `{new}`"


@pytest.mark.parametrize("old", GONE)
def test_a_setting_that_is_gone_says_why(old: str) -> None:
    """And names what took its place, if a setting did."""
    sentence = refusal(f"{old}=1")

    assert sentence.startswith(f"setting `{old}` is gone: ")
    reason = sentence.removeprefix(f"setting `{old}` is gone: ")
    assert reason
    for present in re.findall(r"`(\w+\.\w+)`", reason):
        section, _, name = present.partition(".")
        assert hasattr(ScanConfig().searches[section], name)


@pytest.mark.parametrize(("old", "name"), [(old, name) for old in KEPT for name in KEPT[old]])
def test_a_setting_of_a_renamed_section_is_told_where_it_is(old: str, name: str) -> None:
    """Under the section's present name, unless it has moved elsewhere."""
    present = RENAMED.get(f"{old}.{name}", f"{SECTIONS[old]}.{name}")

    assert refusal(f"{old}.{name}=1") == f"setting `{old}.{name}` is now `{present}`"


@pytest.mark.parametrize(("old", "new"), SECTIONS.items())
def test_a_whole_section_is_told_its_present_name(tmp_path: Path, old: str, new: str) -> None:
    """Also where it is empty in a file, and where it is a table inside a table."""
    file = tmp_path / "scan.toml"
    file.write_text(f"[{old}]\n")
    assert refusal(file=file) == f"setting `{old}` is now `{new}`"

    file.write_text(f"[{old}.deeper]\nstill = 1\n")
    assert refusal(file=file) == f"setting `{old}.deeper` is now `{new}.deeper`"


@pytest.mark.parametrize("old", [*RENAMED, *GONE])
def test_a_renamed_setting_among_others_is_found(tmp_path: Path, old: str) -> None:
    """Beside settings that are right, and before those that are wrong are told of."""
    file = tmp_path / "scan.toml"
    file.write_text("seed = 3\n[judge]\nmin_working = 0.25\n")

    sentence = refusal("warp.steps=2", f"{old}=1", "blend.nonsense=1", file=file)

    assert sentence.startswith(f"setting `{old}` is ")


@pytest.mark.parametrize("new", sorted(set(RENAMED.values())))
def test_every_present_name_is_one(new: str) -> None:
    """Of a section or of a setting; `<search>.<statistic>` stands for each of the statistics."""
    config = ScanConfig()
    known = {each.name for each in fields(config)} | set(config.searches)
    known |= {
        f"{section}.{field.name}"
        for section in ("untargeted_noise", "feature_mask", "published_ban")
        for field in fields(getattr(config, section))
    }
    known |= {
        f"{name}.{field.name}" for name, own in config.searches.items() for field in fields(own)
    }
    known |= {f"calibration.{place}" for place in places(shipped().tables())}

    assert {new.replace("<search>.<statistic>", statistic) for statistic in STATISTICS} <= known


def test_no_name_of_now_is_one_of_before() -> None:
    """Otherwise a setting that is right would be refused."""
    config = ScanConfig()
    known = {each.name for each in fields(config)} | set(config.searches)

    assert not known & set(SECTIONS)
    for old in (*RENAMED, *GONE):
        section, _, name = old.partition(".")
        own = config.searches.get(section, getattr(config, section, None))
        assert not hasattr(own, name)
