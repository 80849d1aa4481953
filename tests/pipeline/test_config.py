"""Settings come from defaults, file, overrides and options, and wrong ones are named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import ScanConfig, config_dict, load_config
from stages.errors import ConfigError
from stages.searches import SEARCHES
from stages.verdict.calibration import shipped

LEAST = "calibration.blend.margin.alone.least"
"""A number of the calibration."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scan.toml"
    path.write_text('seed = 5\ndevice = "cpu"\n[parity]\ntolerance = 0.025\nbatches = [2, 3]\n')
    return path


def leaves(settings: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its full name, with its value; those without a value are left out."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{place}{name}.")
        elif value is not None:
            yield f"{place}{name}", value


def test_nothing_given_is_the_defaults() -> None:
    """The defaults stand beside the stages, nowhere else."""
    assert load_config() == ScanConfig()


def test_the_later_source_wins(file: Path) -> None:
    """Explicit options beat overrides, overrides beat the file, the file beats the defaults."""
    config = load_config(file, ["parity.tolerance=0.05", "seed=6"], seed=7)

    assert config.parity.tolerance == 0.05
    assert config.parity.batches == (2, 3)
    assert config.seed == 7
    assert config.device == "cpu"


def test_overrides_need_no_quotes() -> None:
    """A bare word is a text, everything else is read as TOML."""
    config = load_config(overrides=["device=cpu", "parity.batches=[4]", " parity.tolerance = 0 "])

    assert config.device == "cpu"
    assert config.parity.batches == (4,)
    assert config.parity.tolerance == 0.0
    assert isinstance(config.parity.tolerance, float)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("parity.tolerance=much", "`parity.tolerance` is 'much', expected a number from 0 to 0.1"),
        ('parity.tolerance="0.1"', "`parity.tolerance` is '0.1', expected a number"),
        ("parity.tolerance=true", "is True, expected a number"),
        ("parity.tolerance=nan", "is nan, expected a number"),
        ("seed=true", "`seed` is True, expected a whole number"),
        ("seed=1.0", "`seed` is 1.0, expected a whole number"),
        ("seed=-1", "`seed` is -1, expected a whole number from 0 to 9223372036854775807"),
        ("seed=9223372036854775808", "expected a whole number from 0 to 9223372036854775807"),
        ("seed.deep=1", "`seed` is {'deep': 1}, expected a whole number"),
        ("published_ban.enabled=1", "`published_ban.enabled` is 1, expected true or false"),
        ("device=tpu", "`device` is 'tpu', expected one of 'auto', 'cpu', 'cuda'"),
        ("parity=1", "`parity` is 1, expected a section"),
        ("parity.batches=1", "`parity.batches` is 1, expected a list of 1 to 16 whole numbers"),
        ("parity.batches=[1, 'a']", "`parity.batches` has 'a', expected a list of 1 to 16 whole"),
        ("parity.tolerence=1", "setting `parity.tolerence`; did you mean `parity.tolerance`?"),
        ("blend=1", "`blend` is 1, expected a section"),
        ("blend.faint=much", "`blend.faint` is 'much', expected a number above 0 and at most 1"),
        ("patch.sid=1", "unknown setting `patch.sid`; did you mean `patch.side`"),
        ("warp.grid=1.5", "`warp.grid` is 1.5, expected a whole number from 2 to 64 (places)"),
        ("neuron_noise.depth.deep=1", "`neuron_noise.depth` is {'deep': 1}, expected a number"),
        ("neuron_noise.smallest=1", "`neuron_noise` has `smallest` 1 and `largest` 0.5, expected"),
        ("searches.blend.samples=1", "unknown setting `searches`; known are `seed`"),
        ("calibration=1", "`calibration` is 1, expected a section"),
        ("calibration.blend.margin=1", "`calibration.blend.margin` is 1, expected a section"),
        ("calibration.blend.margin.alone=1", "`calibration.blend.margin.alone` is 1, expected a"),
        ("calibration.blend.mean.n=1", "unknown setting `calibration.blend.mean`; known in"),
        ("calibration.blend.margin.wait=1", "unknown setting `calibration.blend.margin.wait`"),
        ("calibration.blend.margin.alone.wait=1", "`calibration.blend.margin.alone.wait`"),
        ("calibration.blur.margin.n=1", "unknown setting `calibration.blur`; known in"),
        ("calibration.null.other.n=1", "unknown setting `calibration.null.other`; known in"),
        (f"{LEAST}=-1", f"`{LEAST}` is -1, expected a number from 0 to"),
        (f"{LEAST}=nan", f"`{LEAST}` is nan, expected a number from 0 to"),
        ("calibration.blend.margin.alone.upper=0", "alone.upper` is 0, expected a number above 0"),
        ("calibration.range.most_classes=1.5", "`calibration.range.most_classes` is 1.5, expected"),
        ("calibration.shared.classes=1", "did you mean `calibration.head_probe.share`?"),
        ("calibration.null.alone.scale=0", "`calibration.null.alone.scale` is 0, expected a"),
        ("judge.false_alarm_rate=0", "rate` is 0, expected a number of at least 1e-06 and below 1"),
        ("judge.false_alarm_rate=1", "rate` is 1, expected a number of at least 1e-06 and below 1"),
        ("seed=" + "1" * 5000, "`seed` is '1111"),
        ("epsilon=1", "did you mean `untargeted_noise.epsilon` or `published_ban.epsilon`?"),
        ("seed", "`seed` has no value, expected KEY=VALUE"),
        ("=1", "`=1` has no value, expected KEY=VALUE"),
    ],
)
def test_a_wrong_setting_is_named(override: str, sentence: str) -> None:
    """The key, what was found, and what is expected or known."""
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=[override])

    assert sentence in str(caught.value)


def test_a_setting_inside_a_setting_is_no_section() -> None:
    """An override cannot go through a value."""
    with pytest.raises(ConfigError, match="`seed` is a value, expected a section"):
        load_config(overrides=["seed=1", "seed.deep=1"])


def test_every_wrong_setting_is_told_at_once() -> None:
    """Two faults, two sentences."""
    with pytest.raises(ConfigError, match=r"`seed` is 'a'.*`parity.tolerance` is 'b'"):
        load_config(overrides=["seed=a", "parity.tolerance=b"])


def test_an_override_cannot_smuggle_in_a_second_one() -> None:
    """A line break does not end the value."""
    with pytest.raises(ConfigError, match="expected a whole number"):
        load_config(overrides=["seed=1\ndevice='cpu'"])


@pytest.mark.parametrize("content", [b"seed = ", b"\xff\xfe", None])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Not TOML, not text, not there."""
    path = tmp_path / "scan.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"scan\.toml` cannot be read"):
        load_config(path)


def test_the_settings_survive_json(file: Path) -> None:
    """What is reported can be given back as a config."""
    config = load_config(file)
    text = json.dumps(config_dict(config))
    toml = file.with_suffix(".again.toml")
    overrides = [f"{name}={json.dumps(value)}" for name, value in leaves(json.loads(text))]
    toml.write_text("")

    assert load_config(toml, overrides) == config


@pytest.mark.parametrize(
    "override",
    [
        "untargeted_noise.steps=2;feature_mask.epochs=3",
        " untargeted_noise.steps = 2 ; feature_mask.epochs = 3; ",
        ";untargeted_noise.steps=2;;feature_mask.epochs=3",
    ],
)
def test_one_override_may_hold_several_settings(override: str) -> None:
    """Semicolons separate them, as `mlflow run` has only one place for all; empty ones are none."""
    config = load_config(overrides=[override, "seed=4"])

    assert (config.untargeted_noise.steps, config.feature_mask.epochs, config.seed) == (2, 3, 4)
    assert load_config(overrides=["", " ; "]) == ScanConfig()


def test_the_last_of_equal_settings_wins() -> None:
    """Inside one override and across them, from left to right."""
    config = load_config(
        overrides=["seed=1; seed=2", "untargeted_noise.steps=3", "untargeted_noise.steps=4;seed=5"]
    )

    assert (config.seed, config.untargeted_noise.steps) == (5, 4)


SECTIONS = {
    **{each.name: getattr(ScanConfig(), each.name) for each in fields(ScanConfig)},
    **ScanConfig().searches,
}
FIELDS = [
    (section, field.name)
    for section, settings in SECTIONS.items()
    if is_dataclass(settings) and section != "calibration"
    for field in fields(settings)
]


def sections_of(config: ScanConfig) -> dict[str, Any]:
    """The sections of settings by their names in a file."""
    others = {each.name: getattr(config, each.name) for each in fields(config)}
    return {**others, **config.searches}


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_setting_can_be_set_and_only_to_its_kind(section: str, name: str) -> None:
    """Its default, written down, is read back as it was; a table in its place is refused."""
    default = getattr(SECTIONS[section], name)
    written = json.dumps(default) if default is not None else "0.5"

    config = load_config(overrides=[f"{section}.{name}={written}"])

    found = getattr(sections_of(config)[section], name)
    assert found == (0.5 if default is None else default)
    assert default is None or type(found) is type(default)
    with pytest.raises(ConfigError, match=f"`{section}.{name}`"):
        load_config(overrides=[f"{section}.{name}.deeper=1"])


def test_every_search_has_a_section_of_its_own() -> None:
    """By its name, with the type of settings it announces."""
    config = load_config(overrides=["blend.faint=0.25", "warp.steps=3"])

    assert list(config.searches) == [search.name for search in SEARCHES]
    assert all(type(config.searches[each.name]) is each.settings for each in SEARCHES)
    changed = {"blend": {"faint": 0.25}, "warp": {"steps": 3}}
    for name, own in ScanConfig().searches.items():
        assert config.searches[name] == replace(own, **changed.get(name, {}))


def test_a_search_can_be_changed_alone() -> None:
    """`with_search` leaves every other setting as it was, and the original too."""
    before = ScanConfig()

    after = before.with_search("patch", side=0.5)

    assert after.searches["patch"].side == 0.5
    assert after == load_config(overrides=["patch.side=0.5"])
    assert before == ScanConfig()


def test_one_number_of_the_calibration_can_be_changed() -> None:
    """An override names its row; every other number stays the shipped one."""
    config = load_config(overrides=[f"{LEAST}=0.3125"])

    row = shipped().rows["blend.margin"]
    changed = replace(row, alone=replace(row.alone, least=0.3125))
    rows = {**shipped().rows, "blend.margin": changed}
    assert config == replace(ScanConfig(), calibration=replace(shipped(), rows=rows))
    assert row.alone.least != 0.3125


def test_the_middle_of_a_statistic_may_be_below_zero() -> None:
    """Clean models have margins below 0, unlike every other number of the calibration."""
    config = load_config(overrides=["calibration.permutation.patch_margin.alone.centre=-0.5"])

    assert config.calibration.rows["permutation.patch_margin"].alone.centre == -0.5


@pytest.mark.parametrize("name", [name for name, _ in leaves(shipped().tables())])
def test_every_number_of_the_calibration_is_a_setting(name: str) -> None:
    """As is where it comes from."""
    value = dict(leaves(shipped().tables()))[name]
    other = value + 1 if isinstance(value, int | float) else "another"

    config = load_config(overrides=[f"calibration.{name}={json.dumps(other)}"])

    expected = {**dict(leaves(shipped().tables())), name: other}
    assert dict(leaves(config.calibration.tables())) == expected


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "true", "'a'", "[1.0]", "1979-05-27"])
@pytest.mark.parametrize(
    "key",
    [
        "feature_mask.rate",
        "neuron_noise.largest",
        "judge.false_alarm_rate",
        "precondition.min_accuracy",
    ],
)
def test_a_number_is_a_finite_number(key: str, value: str) -> None:
    """Whatever else TOML knows is no rate and no bound."""
    with pytest.raises(ConfigError, match=f"`{key}` is .*, expected a number"):
        load_config(overrides=[f"{key}={value}"])


def test_what_no_parser_survives_is_a_text() -> None:
    """Brackets nested beyond Python's stack are a wrong value, in an override and in a file."""
    with pytest.raises(ConfigError, match="expected a whole number"):
        load_config(overrides=["seed=" + "[" * 100_000])


@given(st.text(max_size=40))
def test_no_override_breaks_the_reader(text: str) -> None:
    """Any text is a setting or a sentence, never another error."""
    with suppress(ConfigError):
        load_config(overrides=[text])
    for override in (
        *(f"untargeted_noise.steps={text}", f"warp.steps={text}", f"{text}=1"),
        *(f"{LEAST}={text}", f"calibration.{text}=1", f"blend.{text}=1"),
    ):
        with suppress(ConfigError):
            load_config(overrides=[override])
