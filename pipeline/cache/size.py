"""How large a store is, and how it becomes smaller: what was used longest ago goes first."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.cache.entry import COMPLETE

DRAFTS = ".draft-*"
"""How entries are called while they are written."""
LOCK = "alive.lock"
"""Locked as long as somebody writes at a draft: a lock ends with its process."""
ABANDONED = 3600.0  # seconds after which nobody begins to write at a draft without a lock


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One result that is kept: where, of which stage, its size in bytes, and when it was last
    used, in seconds since 1970.
    """

    place: Path
    stage: str
    size: int
    used: float


def kept_in(root: Path) -> list[Kept]:
    """All results in a store, those that were used longest ago first."""
    return sorted(_entries(root), key=lambda each: each.used)


def sizes(kept: list[Kept]) -> Mapping[str, tuple[int, int]]:
    """How many results of each stage there are, and their bytes, the largest stages first."""
    found: dict[str, tuple[int, int]] = {}
    for each in kept:
        count, size = found.get(each.stage, (0, 0))
        found[each.stage] = (count + 1, size + each.size)
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def shrink(root: Path, largest: int) -> list[Kept]:
    """Removes what was used longest ago until the rest has at most so many bytes; what went."""
    drop_drafts(root)
    kept = kept_in(root)
    size, gone = sum(each.size for each in kept), []
    for each in kept:
        if size <= largest:
            break
        remove(each.place)
        size -= each.size
        gone.append(each)
    return gone


def drop_drafts(root: Path) -> None:
    """Removes what killed processes had begun to write."""
    for draft in root.glob(f"*/{DRAFTS}"):
        with suppress(OSError, Timeout):
            if (draft / LOCK).exists():
                with FileLock(draft / LOCK, timeout=0):
                    shutil.rmtree(draft, ignore_errors=True)
            elif time.time() - draft.stat().st_mtime > ABANDONED:
                shutil.rmtree(draft, ignore_errors=True)


def remove(place: Path) -> None:
    """Removes a result; whoever is about to read it finds none."""
    (place / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)


def _entries(root: Path) -> Iterator[Kept]:
    for complete in root.glob(f"*/*/{COMPLETE}"):
        with suppress(OSError):  # another process may remove it meanwhile
            yield Kept(
                place=complete.parent,
                stage=complete.parent.parent.name,
                size=sum(file.stat().st_size for file in complete.parent.iterdir()),
                used=complete.stat().st_mtime,
            )
