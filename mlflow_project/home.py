"""Where ban-gate keeps what it remembers between two calls."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "BAN_GATE_HOME"
DEFAULT_HOME = "~/.cache/ban-gate"


def home() -> Path:
    """The folder named by `BAN_GATE_HOME`, or a cache of the user's; it need not exist yet."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser()
