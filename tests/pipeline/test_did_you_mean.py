"""A name that no setting has is answered with those that were probably meant."""

from __future__ import annotations

import pytest

from pipeline.config import file_schema, load_config
from pipeline.did_you_mean import alike
from stages.errors import ConfigError
from stages.unfit import at, names_in

NAMES = list(names_in(file_schema()))
SETTINGS = [name for name in NAMES if "properties" not in at(tuple(name.split(".")), file_schema())]


def refusal(*overrides: str) -> str:
    """The sentence with which settings are refused."""
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("false_alarm_rate", "judge.false_alarm_rate"),
        ("false_alarm_rat", "judge.false_alarm_rate"),
        ("vetting.false_alarm_rate", "judge.false_alarm_rate"),
        ("judge.false-alarm-rate", "judge.false_alarm_rate"),
        ("judge.fals_alarm_rate", "judge.false_alarm_rate"),
        ("blend.faint_step", "blend.faint_steps"),
        ("min_samples", "precondition.min_samples"),
        ("devise", "device"),
        ("pre_condition", "precondition"),
        ("calibration.blend.margin.alone.leest", "calibration.blend.margin.alone.least"),
        ("calibration.nul.alone.scale", "calibration.null"),
    ],
)
def test_what_was_meant_is_offered_first(wrong: str, right: str) -> None:
    """A slip in the name, a section left out, or another section's."""
    assert refusal(f"{wrong}=1").split("did you mean ")[1].startswith(f"`{right}`")


@pytest.mark.parametrize("name", [each for each in SETTINGS if not each.endswith(".n")])
def test_every_setting_is_found_with_a_letter_missing(name: str) -> None:
    """Whatever its section; where several are as near, it is among them or they share its name."""
    wrong = name[:-2] + name[-1]

    found = alike(wrong, NAMES)

    assert name in found or name.rpartition(".")[2] in {each.rpartition(".")[2] for each in found}


def test_a_name_of_many_sections_offers_a_few() -> None:
    """Not a page of them."""
    assert refusal("samples=3").count("`") == 2 * (1 + 3)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("xyzzy", "known are `seed`, `device`, `isolation`, "),
        ("blend.xyzzy", "known in `blend` are `samples`, "),
    ],
)
def test_a_name_like_no_other_is_told_what_there_is(name: str, start: str) -> None:
    """In its section, and where to see all."""
    sentence = refusal(f"{name}=1")

    assert sentence.startswith(f"unknown setting `{name}`; {start}")
    assert sentence.endswith("; `ban-gate settings` lists all")


def test_every_unknown_name_is_told_at_once() -> None:
    """Beside values that are wrong, a sentence each."""
    sentence = refusal("blend.faint_step=1", "warp.stepz=2", "seed=-1")

    assert sentence.count("did you mean") == 2
    assert sentence.count("; setting `seed` is -1") + sentence.startswith("setting `seed`") == 1
