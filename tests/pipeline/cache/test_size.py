"""A store becomes smaller from its oldest end, and never half an entry is left."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.cache.size import ABANDONED, LOCK, drop_drafts, kept_in, shrink, sizes
from pipeline.cache.store import Store
from stages.types import CleanSamples
from tests.support.counted_stages import Settings, calls, double


@pytest.fixture
def three(tmp_path: Path, samples: CleanSamples) -> Path:
    """A store of three results of one stage, the first used longest ago."""
    for seed in range(3):
        Store(tmp_path).run(double, samples, Settings(), seed)
    for age, each in enumerate(sorted(kept_in(tmp_path), key=lambda one: one.used)):
        os.utime(each.place / "stage.json", (1000 + age, 1000 + age))
    return tmp_path


def test_sizes_are_those_of_the_files(three: Path) -> None:
    """Per stage, and in bytes."""
    files = [path for path in three.rglob("*") if path.is_file()]

    assert sizes(kept_in(three)) == {"double": (3, sum(path.stat().st_size for path in files))}


def test_what_was_used_longest_ago_goes_first(three: Path) -> None:
    """Only as much as is needed."""
    kept = kept_in(three)

    gone = shrink(three, kept[1].size + kept[2].size)

    assert gone == kept[:1]
    assert kept_in(three) == kept[1:]
    assert not kept[0].place.exists()


def test_a_result_that_is_read_was_used(three: Path, samples: CleanSamples) -> None:
    """Reading makes it the youngest."""
    first = kept_in(three)[0]

    for seed in range(3):
        store = Store(three)
        store.run(double, samples, Settings(), seed)
        assert store.reused == ["double"]
        if kept_in(three)[-1].place == first.place:
            return
    pytest.fail("none of the calls made the oldest result the youngest")


def test_nothing_left_is_an_empty_store(three: Path, samples: CleanSamples) -> None:
    """What was removed is computed again."""
    calls.clear()

    shrink(three, 0)
    Store(three).run(double, samples, Settings())

    assert calls == ["double"]
    assert len(kept_in(three)) == 1


def test_drafts_of_killed_processes_go(three: Path) -> None:
    """Those that may still be written stay."""
    old, new = three / "double" / ".draft-old", three / "double" / ".draft-new"
    for draft in (old, new):
        draft.mkdir()
    past = time.time() - ABANDONED - 1
    os.utime(old, (past, past))

    drop_drafts(three)

    assert not old.exists()
    assert new.exists()
    assert len(kept_in(three)) == 3


def test_a_missing_store_is_empty(tmp_path: Path) -> None:
    """Nothing was ever kept."""
    assert kept_in(tmp_path / "none") == []
    assert shrink(tmp_path / "none", 0) == []


def test_a_draft_goes_as_soon_as_its_writer_is_dead(three: Path) -> None:
    """However young it is; one that somebody writes at stays."""
    draft = three / "double" / ".draft-mine"
    draft.mkdir()
    with FileLock(draft / LOCK):
        drop_drafts(three)
        assert draft.is_dir()

    drop_drafts(three)

    assert not draft.exists()
