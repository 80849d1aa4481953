"""Settings come from defaults, file, overrides and options, and wrong ones are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
        ("epsilon=1", "unknown setting `epsilon`; known are `seed`, `device`, `parity`"),
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
