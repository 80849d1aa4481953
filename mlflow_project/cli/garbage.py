"""How seldom a process of ban-gate looks for garbage."""

from __future__ import annotations

import atexit
import gc

NEW_OBJECTS = 50_000
"""New objects until Python looks for garbage: torch and MLflow make many as they are imported, and
hardly any of them is ever garbage.
"""


def collect_seldom() -> None:
    """Lets this process look for garbage seldom, and not at its end, where all goes anyway and
    looking took seconds.
    """
    gc.set_threshold(NEW_OBJECTS)
    atexit.register(gc.freeze)
