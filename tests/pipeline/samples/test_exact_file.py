"""What an `.npz` says beside its samples is read within limits, and never stands in their way."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.samples.exact_file import LARGEST, names_and_provenance

NOTHING = ((), "")


def _saved(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type] # wrong things are saved on purpose
    return path


def test_names_and_provenance_are_read(tmp_path: Path) -> None:
    """Text of any alphabet."""
    path = _saved(tmp_path / "a.npz", class_names=["Katze", "犬"], provenance='{"seed": 1}')

    assert names_and_provenance(path) == (("Katze", "犬"), '{"seed": 1}')


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"class_names": np.arange(3), "provenance": np.array(7)},
        {"class_names": np.array(["a\x1b[2J", "b"]), "provenance": np.array("no JSON")},
        {"class_names": np.array([b"a", b"b"]), "provenance": np.array("[1, 2]")},
        {"class_names": np.array(["a", None], dtype=object)},
        {"class_names": np.array([], dtype="U1"), "provenance": np.array("[" * 100_000)},
        {"provenance": np.array('{"a": "' + "b" * (LARGEST // 4) + '"}')},
    ],
)
def test_anything_else_counts_as_nothing(tmp_path: Path, arrays: dict[str, object]) -> None:
    """Other types, escapes, pickles, deep and overlong texts."""
    assert names_and_provenance(_saved(tmp_path / "a.npz", **arrays)) == NOTHING


def test_a_header_that_claims_more_is_not_believed(tmp_path: Path) -> None:
    """Petabytes of names in a few bytes."""
    header = io.BytesIO()
    claimed = {"descr": "<U9", "fortran_order": False, "shape": (2**50,)}
    np.lib.format.write_array_header_1_0(header, claimed)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("class_names.npy", header.getvalue())

    assert names_and_provenance(tmp_path / "a.npz") == NOTHING


def test_every_broken_byte_is_harmless(tmp_path: Path) -> None:
    """A changed byte anywhere gives names or none, never a failure."""
    good = _saved(tmp_path / "a.npz", class_names=["cat", "dog"], provenance="{}").read_bytes()
    for position in range(len(good)):
        broken = bytearray(good)
        broken[position] ^= 0x41
        (tmp_path / "b.npz").write_bytes(bytes(broken))

        names, _ = names_and_provenance(tmp_path / "b.npz")

        assert names in ((), ("cat", "dog"))
