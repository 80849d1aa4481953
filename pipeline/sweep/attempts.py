"""How often a scan was started, and how often it took the process that ran it with it.

A death is noted before a scan starts and taken back when it ended in whatever orderly way, so it
stays where the process, its parent or the whole machine died of it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.atomic_files import write_text

MOST_DEATHS = 2
"""A scan that has killed so many processes is given up."""


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """How often a scan was started, and how many of these starts had no orderly end."""

    started: int = 0
    deaths: int = 0

    @property
    def hopeless(self) -> bool:
        """Whether it is given up."""
        return self.deaths >= MOST_DEATHS


def attempts_at(path: Path) -> Attempts:
    """What was noted so far; nothing where there is no note that can be read."""
    try:
        noted = json.loads(path.read_text())
        return Attempts(started=int(noted["started"]), deaths=int(noted["deaths"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Attempts()


def begin(path: Path) -> Attempts:
    """Notes a start, and its death in advance; what was noted before."""
    before = attempts_at(path)
    _write(path, Attempts(started=before.started + 1, deaths=before.deaths + 1))
    return before


def excuse(path: Path) -> None:
    """Takes the death back that the last start noted: it ended in an orderly way."""
    noted = attempts_at(path)
    _write(path, replace(noted, deaths=max(0, noted.deaths - 1)))


def note_death(path: Path, *, died: bool) -> None:
    """Notes a start that has ended already, elsewhere, where it could bring nothing else down."""
    before = attempts_at(path)
    _write(path, Attempts(started=before.started + 1, deaths=before.deaths + died))


def _write(path: Path, attempts: Attempts) -> None:
    write_text(path, json.dumps(asdict(attempts)))
