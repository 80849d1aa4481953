"""Durations are read as people write them, and said as people say them."""

from __future__ import annotations

import pytest

from pipeline.pace.duration import seconds_in, time_text
from stages.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h", 7200), ("1h1m1s", 3661), (" 5m ", 300)],
)
def test_hours_minutes_and_seconds_add_up(text: str, seconds: int) -> None:
    """In this order, each left out as one likes."""
    assert seconds_in(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "m", "0s", "-5m", "1.5h", "10 m", "30m1h", "1d", "٣m", "9999999h", "9" * 9999],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    """A number without a unit as well: nobody should have to guess it."""
    with pytest.raises(ConfigError, match="expected one such as 90s, 10m or 1h30m"):
        seconds_in(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(0.1, "1 s"), (42.4, "42 s"), (99, "99 s"), (110, "2 min"), (354, "6 min")],
        *[(3599, "1 h"), (4800, "1 h 20 min"), (7200, "2 h")],
    ],
)
def test_a_duration_is_said_in_two_units_at_most(seconds: float, text: str) -> None:
    """As exact as an estimate is."""
    assert time_text(seconds) == text
