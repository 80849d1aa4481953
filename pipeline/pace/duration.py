"""Durations as people write and say them."""

from __future__ import annotations

import re

from stages.errors import ConfigError

UNITS = (3600, 60, 1)
LONGEST = 30 * 24 * 3600  # seconds
_FORM = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def seconds_in(text: str) -> float:
    """The seconds in a text such as 90s, 10m or 1h30m.

    Raises:
        ConfigError: it is no such text, or nothing at all, or more than 30 days.
    """
    found = _FORM.fullmatch(text.strip()) if len(text) < 100 else None
    parts = [int(each or 0) for each in found.groups()] if found else [0, 0, 0]
    seconds = sum(part * unit for part, unit in zip(parts, UNITS, strict=True))
    if not 0 < seconds <= LONGEST:
        raise ConfigError(
            f"`{text}` is no duration, expected one such as 90s, 10m or 1h30m, of 30 days at most"
        )
    return float(seconds)


def time_text(seconds: float) -> str:
    """A duration as people say it, such as `40 s`, `6 min` or `1 h 20 min`."""
    if seconds < 100:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
