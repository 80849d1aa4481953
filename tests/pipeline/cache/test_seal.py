"""Nobody without the secret can plant a result, and nothing of what was kept can be swapped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cache import entry, seal
from pipeline.cache.store import Store
from pipeline.file_digest import file_digest
from stages.types import CleanSamples
from tests.support.counted_stages import Settings, calls, double, entry_in, same, samples_of

SECRET, OTHER = b"a" * 32, b"b" * 32


def rewrite(place: Path) -> None:
    """Another result with the right checksums, as whoever may write to the folder can make it."""
    values, record = place / entry.VALUES, place / entry.COMPLETE
    values.write_text(values.read_text().replace("array0", "array1"))
    facts = json.loads(record.read_text())
    facts["sha256"][entry.VALUES] = file_digest(values)
    record.write_text(json.dumps(facts))


def seal_with_another_secret(place: Path) -> None:
    """The mark of somebody else's store."""
    record = (place / entry.COMPLETE).read_bytes()
    name = f"{place.parent.name}/{place.name}"
    seal.write_seal(place, OTHER, name, record)


@pytest.mark.parametrize(
    "plant",
    [
        rewrite,
        seal_with_another_secret,
        lambda place: (place / seal.SEAL).unlink(),
        lambda place: (place / seal.SEAL).write_text("é"),
        lambda place: (place / seal.SEAL).write_text(""),
    ],
)
def test_what_was_planted_is_computed_again(
    tmp_path: Path,
    samples: CleanSamples,
    caplog: pytest.LogCaptureFixture,
    plant: Callable[[Path], object],
) -> None:
    """The result is right, and the entry is the store's own afterwards."""
    expected = Store(tmp_path, secret=SECRET).run(double, samples, Settings())
    plant(entry_in(tmp_path))

    found = Store(tmp_path, secret=SECRET).run(double, samples, Settings())
    again = Store(tmp_path, secret=SECRET)

    assert same(expected, found)
    assert calls == ["double", "double"]
    assert "unreadable" in caplog.text
    assert same(expected, again.run(double, samples, Settings()))
    assert again.reused == ["double"]


def test_an_entry_in_another_place_is_not_reused(tmp_path: Path) -> None:
    """A true entry moved to the key of other samples is no result of theirs."""
    store = Store(tmp_path, secret=SECRET)
    store.run(double, samples_of(1.0), Settings())
    first = entry_in(tmp_path)
    expected = store.run(double, samples_of(2.0), Settings())
    (second,) = set(first.parent.iterdir()) - {first}
    shutil.rmtree(second)
    shutil.copytree(first, second)

    found = Store(tmp_path, secret=SECRET).run(double, samples_of(2.0), Settings())

    assert same(expected, found)
    assert len(calls) == 3


def test_a_store_without_a_secret_leaves_no_mark(tmp_path: Path, samples: CleanSamples) -> None:
    """And one with a secret does not take what it kept."""
    Store(tmp_path).run(double, samples, Settings())
    assert not (entry_in(tmp_path) / seal.SEAL).exists()

    Store(tmp_path, secret=SECRET).run(double, samples, Settings())

    assert len(calls) == 2


def test_a_quiet_store_has_the_same_secret(tmp_path: Path, samples: CleanSamples) -> None:
    """What it keeps is reused, and its steps are its own."""
    store = Store(tmp_path, secret=SECRET)
    quiet = store.quiet()

    quiet.run(double, samples, Settings())
    store.run(double, samples, Settings())

    assert (store.reused, quiet.reused, quiet.done) == (["double"], [], ["double"])


def test_what_is_computed_anew_is_neither_read_nor_kept(
    tmp_path: Path, samples: CleanSamples
) -> None:
    """But timed like any other step."""
    store = Store(tmp_path, secret=SECRET)
    store.run(double, samples, Settings())
    kept = set(tmp_path.rglob("*"))

    store.compute(double, samples, Settings(factor=3.0))
    store.compute(double, samples, Settings())

    assert len(calls) == 3
    assert store.done == ["double", "double", "double"]
    assert set(tmp_path.rglob("*")) == kept
