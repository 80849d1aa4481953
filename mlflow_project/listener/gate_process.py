"""Runs one gate and writes down how it ended, so that this outlives the listener that started it.

Started as `python -m mlflow_project.listener.gate_process FOLDER COMMAND...`. What the gate says is
in `out` and `err` of the folder, and its end in `end.json`, which is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.printable import printable

OUT, ERR, END = "out", "err", "end.json"
CANNOT_START = 2
"""The exit code of a gate whose command cannot be started: a setting is wrong."""
ANSWERS = (0, 1, 3)
"""The exit codes of a gate that has judged its version, or found that nobody can."""
OWN_FAULT = 70
LONGEST_LINE = 2000  # characters that are kept of what a gate said last
TAIL = 65_536  # bytes of a gate's output in which its last lines are looked for
OURS = "ban-gate: "


@dataclass(frozen=True, kw_only=True)
class End:
    """How a gate ended: its exit code, None if there is none, and what it said last."""

    code: int | None
    said: str


def main(arguments: Sequence[str]) -> None:
    """Runs the command after the folder, and leaves its end there."""
    folder, command = Path(arguments[0]), list(arguments[1:])
    try:
        with (folder / OUT).open("wb") as out, (folder / ERR).open("wb") as err:
            done = subprocess.run(  # noqa: S603 (the listener's own command)
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=False
            )
        end = End(code=done.returncode, said=_said(done.returncode, folder))
    except (OSError, ValueError) as error:
        said = printable(f"`{command[0]}` cannot be started ({error})")
        end = End(code=CANNOT_START, said=said)
    draft = folder / f"{END}.draft"
    with draft.open("w") as file:
        json.dump(asdict(end), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / END)


def read_end(folder: Path) -> End | None:
    """How the gate of a folder ended, None if it has not, or was killed."""
    try:
        return End(**json.loads((folder / END).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _said(code: int, folder: Path) -> str:
    """The line on stdout of a gate that has an answer, else why it has none."""
    out, err = _lines(folder / OUT), _lines(folder / ERR)
    ours = [each for each in err if each.startswith(OURS)]
    if code in ANSWERS and out:
        said = out[-1]
    elif code == OWN_FAULT:  # our own sentence says only that it is our fault
        said = "; ".join(err[-2:])
    else:
        said = (ours or err or out or [""])[-1].removeprefix(OURS)
    return printable(said)[:LONGEST_LINE]


def _lines(file: Path) -> list[str]:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - TAIL))
        text = opened.read().decode(errors="replace")
    return [each.strip() for each in text.splitlines() if each.strip()]


if __name__ == "__main__":
    main(sys.argv[1:])
