"""A class of settings checks itself whenever one is made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Annotated

import pytest

from stages.errors import ConfigError
from stages.searches.neuron_noise import NeuronNoiseConfig
from stages.settings import Share, bounded, settings, unchecked
from stages.verdict.settings import JudgeConfig


@settings
class Kettle:
    """Settings of a kettle."""

    litres: Annotated[float, bounded("l", gt=0, le=3)] = 1.5
    """Water."""
    lid: Share = 1.0
    """How far it is closed."""


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"litres": 0}, "`litres` is 0, expected a number above 0 and at most 3 (l)"),
        ({"litres": "1"}, "`litres` is '1', expected a number above 0"),
        ({"litres": float("nan")}, "`litres` is nan, expected a number above 0"),
        ({"lid": -0.5, "litres": 4}, "`lid` is -0.5, expected a number from 0 to 1"),
        ({"lit": 1}, "unknown setting `lit`"),
    ],
)
def test_wrong_values_are_refused_in_code_as_well(values: dict[str, object], sentence: str) -> None:
    """Made anew, or as a changed copy; the class is named."""
    for make in (lambda: Kettle(**values), lambda: replace(Kettle(), **values)):  # type: ignore[arg-type] # on purpose
        with pytest.raises(ConfigError) as caught:
            make()
        assert str(caught.value).startswith("Kettle: ")
        assert sentence in str(caught.value)


def test_settings_are_frozen_and_whole_numbers_become_fractions() -> None:
    """As every value that flows."""
    kettle = Kettle(litres=2)

    assert type(kettle.litres) is float
    assert [each.name for each in fields(Kettle)] == ["litres", "lid"]
    with pytest.raises(FrozenInstanceError):
        kettle.lid = 0.5  # type: ignore[misc] # on purpose


def test_unchecked_settings_are_a_copy_with_any_value() -> None:
    """The original stays, and so does every other value."""
    kettle = Kettle()

    empty = unchecked(kettle, litres=0.0)

    assert (empty.litres, empty.lid) == (0.0, 1.0)
    assert kettle == Kettle()


def test_two_settings_that_contradict_are_refused() -> None:
    """A sweep that begins where it should end would look at nothing."""
    with pytest.raises(ConfigError, match=r"`smallest` 0\.5 and `largest` 0\.1"):
        NeuronNoiseConfig(smallest=0.5, largest=0.1)


@pytest.mark.parametrize("rate", [-1, 0, 1, float("nan"), float("inf")])
def test_no_rate_disarms_the_verdict(rate: float) -> None:
    """However the settings of the verdict come about."""
    with pytest.raises(ConfigError, match="`false_alarm_rate` is"):
        JudgeConfig(false_alarm_rate=rate)
