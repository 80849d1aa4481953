"""A refusal passed from a child process to its caller, as a file in the folder they share.

Like `errors`, it needs nothing but Python, because an exporter may run in another interpreter.
"""

from __future__ import annotations

import json
from pathlib import Path

from stages import errors
from stages.errors import BanGateError

FILE = "refusal.json"


def leave(error: BanGateError, folder: Path) -> None:
    """Writes the kind and the sentence of an error into the folder."""
    document = {"kind": type(error).__name__, "message": str(error)}
    (folder / FILE).write_text(json.dumps(document))


def found_in(folder: Path) -> BanGateError | None:
    """The error that was left in the folder; None if there is none."""
    if not (folder / FILE).exists():
        return None
    document = json.loads((folder / FILE).read_text())
    kind: type[BanGateError] = getattr(errors, document["kind"])
    return kind(document["message"])
