"""Whatever happened to what a store kept, the result is right and the scan goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache import entry
from pipeline.cache.store import Store
from pipeline.file_digest import file_digest
from stages.types import CleanSamples, SiteStatistics
from tests.support.counted_stages import Settings, calls, double, entry_in, same


@pytest.mark.parametrize("name", [entry.VALUES, entry.ARRAYS, entry.COMPLETE])
@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "missing"])
def test_a_damaged_entry_is_computed_again(
    tmp_path: Path,
    samples: CleanSamples,
    caplog: pytest.LogCaptureFixture,
    name: str,
    damage: str,
) -> None:
    """Whatever happened to a file, the result is right, and the entry is whole afterwards."""
    expected = Store(tmp_path).run(double, samples, Settings())
    _damage(entry_in(tmp_path) / name, damage)

    found = Store(tmp_path).run(double, samples, Settings())

    assert same(expected, found)
    assert len(calls) == 2
    assert same(expected, entry.read(entry_in(tmp_path), SiteStatistics))
    silent = name == entry.COMPLETE and damage == "missing"  # such an entry was never complete
    assert silent or "unreadable" in caplog.text


def _damage(path: Path, damage: str) -> None:
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        path.write_bytes(
            {
                "empty": b"",
                "cut": content[:middle],
                "changed": content[:middle] + flipped + content[middle + 1 :],
            }[damage]
        )


def test_an_entry_of_another_shape_is_computed_again(tmp_path: Path, samples: CleanSamples) -> None:
    """Values that do not fit the type are as good as unreadable."""
    Store(tmp_path).run(double, samples, Settings())
    place = entry_in(tmp_path)
    facts = json.loads((place / entry.COMPLETE).read_text())
    (place / entry.VALUES).write_text('{"mean": "array0", "surprise": 1}')
    facts["sha256"][entry.VALUES] = file_digest(place / entry.VALUES)
    (place / entry.COMPLETE).write_text(json.dumps(facts))

    Store(tmp_path).run(double, samples, Settings())

    assert len(calls) == 2


def test_no_pickle_is_written_or_read(tmp_path: Path, samples: CleanSamples) -> None:
    """An entry with a pickled array in it is not opened."""
    Store(tmp_path).run(double, samples, Settings())
    place = entry_in(tmp_path)
    np.savez(place / entry.ARRAYS, array0=np.array([{}], dtype=object))
    facts = json.loads((place / entry.COMPLETE).read_text())
    facts["sha256"][entry.ARRAYS] = file_digest(place / entry.ARRAYS)
    (place / entry.COMPLETE).write_text(json.dumps(facts))

    with pytest.raises(ValueError, match="allow_pickle"):
        entry.read(place, SiteStatistics)


def test_an_unwritable_root_costs_only_the_memory(
    tmp_path: Path, samples: CleanSamples, caplog: pytest.LogCaptureFixture
) -> None:
    """A scan goes on when its results cannot be kept."""
    root = tmp_path / "file"
    root.write_text("not a folder")

    result = Store(root).run(double, samples, Settings())

    assert result.mean.shape == (1,)
    assert "not kept" in caplog.text


def test_a_place_that_is_a_file_is_not_a_result(
    tmp_path: Path, samples: CleanSamples, caplog: pytest.LogCaptureFixture
) -> None:
    """Something else in the place of an entry costs the memory, not the scan."""
    Store(tmp_path).run(double, samples, Settings())
    place = entry_in(tmp_path)
    shutil.rmtree(place)
    place.write_text("in the way")

    result = Store(tmp_path).run(double, samples, Settings())

    assert result.mean.shape == (1,)
    assert "not kept" in caplog.text
    assert list(tmp_path.rglob(".draft-*")) == []
