"""Settings come from defaults, file, overrides and options, and wrong ones are named."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import ScanConfig, config_dict, load_config
from stages.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scan.toml"
    path.write_text('seed = 5\ndevice = "cpu"\n[parity]\ntolerance = 0.25\nbatches = [2, 3]\n')
    return path


def test_nothing_given_is_the_defaults() -> None:
    """The defaults stand beside the stages, nowhere else."""
    assert load_config() == ScanConfig()


def test_the_later_source_wins(file: Path) -> None:
    """Explicit options beat overrides, overrides beat the file, the file beats the defaults."""
    config = load_config(file, ["parity.tolerance=0.5", "seed=6"], seed=7)

    assert config.parity.tolerance == 0.5
    assert config.parity.batches == (2, 3)
    assert config.seed == 7
    assert config.device == "cpu"


def test_overrides_need_no_quotes() -> None:
    """A bare word is a text, everything else is read as TOML."""
    config = load_config(overrides=["device=cpu", "parity.batches=[4]", " parity.tolerance = 1 "])

    assert config.device == "cpu"
    assert config.parity.batches == (4,)
    assert config.parity.tolerance == 1.0
    assert isinstance(config.parity.tolerance, float)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("parity.tolerance=much", "`parity.tolerance` is 'much', expected a finite number"),
        ('parity.tolerance="0.1"', "`parity.tolerance` is '0.1', expected a finite number"),
        ("parity.tolerance=true", "is True, expected a finite number"),
        ("parity.tolerance=nan", "is nan, expected a finite number"),
        ("seed=true", "`seed` is True, expected a whole number"),
        ("seed=1.0", "`seed` is 1.0, expected a whole number"),
        ("seed=-1", "`seed` is -1, expected 0 or more"),
        ("seed.deep=1", "`seed` is {'deep': 1}, expected a whole number"),
        ("reference.enabled=1", "`reference.enabled` is 1, expected true or false"),
        ("device=tpu", "`device` is 'tpu', expected one of 'auto', 'cpu', 'cuda'"),
        ("parity=1", "`parity` is 1, expected a section"),
        ("parity.batches=1", "`parity.batches` is 1, expected a list"),
        ("parity.batches=[1, 'a']", "`parity.batches` is 'a', expected a whole number"),
        ("parity.tolerence=1", "unknown setting `tolerence` in `parity`; known are `tolerance`"),
        ("epsilon=1", "unknown setting `epsilon`; known are `seed`, `device`, `isolation`"),
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
    overrides = [
        f"{section}.{key}={json.dumps(value)}"
        if isinstance(values, dict)
        else f"{section}={values}"
        for section, values in json.loads(text).items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
        if value is not None
    ]
    toml.write_text("")

    assert load_config(toml, overrides) == config


@pytest.mark.parametrize(
    "override",
    [
        "noise.steps=2;mask.epochs=3",
        " noise.steps = 2 ; mask.epochs = 3; ",
        ";noise.steps=2;;mask.epochs=3",
    ],
)
def test_one_override_may_hold_several_settings(override: str) -> None:
    """Semicolons separate them, as `mlflow run` has only one place for all; empty ones are none."""
    config = load_config(overrides=[override, "seed=4"])

    assert (config.noise.steps, config.mask.epochs, config.seed) == (2, 3, 4)
    assert load_config(overrides=["", " ; "]) == ScanConfig()


def test_the_last_of_equal_settings_wins() -> None:
    """Inside one override and across them, from left to right."""
    config = load_config(overrides=["seed=1; seed=2", "noise.steps=3", "noise.steps=4;seed=5"])

    assert (config.seed, config.noise.steps) == (5, 4)


FIELDS = [
    (section.name, field.name)
    for section in fields(ScanConfig)
    if is_dataclass(getattr(ScanConfig(), section.name))
    for field in fields(getattr(ScanConfig(), section.name))
]


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_setting_can_be_set_and_only_to_its_kind(section: str, name: str) -> None:
    """Its default, written down, is read back as it was; a table in its place is refused."""
    default = getattr(getattr(ScanConfig(), section), name)
    written = json.dumps(default) if default is not None else "0.5"

    config = load_config(overrides=[f"{section}.{name}={written}"])

    found = getattr(getattr(config, section), name)
    assert found == (0.5 if default is None else default)
    assert default is None or type(found) is type(default)
    with pytest.raises(ConfigError, match=f"`{section}.{name}`"):
        load_config(overrides=[f"{section}.{name}.deeper=1"])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "true", "'a'", "[1.0]", "1979-05-27"])
@pytest.mark.parametrize(
    "key", ["mask.rate", "noise.largest", "judge.false_alarm_rate", "precondition.min_accuracy"]
)
def test_a_number_is_a_finite_number(key: str, value: str) -> None:
    """Whatever else TOML knows is no rate and no bound."""
    with pytest.raises(ConfigError, match=f"`{key}` is .*, expected a finite number"):
        load_config(overrides=[f"{key}={value}"])


def test_what_no_parser_survives_is_a_text() -> None:
    """Brackets nested beyond Python's stack are a wrong value, in an override and in a file."""
    with pytest.raises(ConfigError, match="expected a whole number"):
        load_config(overrides=["seed=" + "[" * 100_000])


@given(st.text(max_size=40))
def test_no_override_breaks_the_reader(text: str) -> None:
    """Any text is a setting or a sentence, never another error."""
    with suppress(ConfigError):
        load_config(overrides=[text, f"noise.steps={text}", f"{text}=1"])
