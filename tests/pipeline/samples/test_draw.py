"""Pictures that cannot be used are named and replaced; too many of them end the scan."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.samples.class_folders import read_class_folders
from pipeline.samples.draw import Drawn, draw
from pipeline.samples.input_form import InputForm
from pipeline.samples.picture import PictureError, opened
from pipeline.samples.preprocessing import Preprocessing
from pipeline.samples.transform import transform_of
from stages.errors import SamplesError
from tests.support.pictures import save_digits

GREY = InputForm(height=16, width=16, channels=1, layout="nchw")


def _drawn(folder: Path, per_class: int | None = None, form: InputForm = GREY) -> Drawn:
    collection = read_class_folders(folder)
    numbers = {label: number for number, label in enumerate(collection.classes)}
    return draw(collection, numbers, transform_of(Preprocessing(), form), per_class, 0)


def _bomb() -> bytes:
    """A PNG of a few bytes that claims to be 60,000 pixels wide and high."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"") + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def test_a_broken_picture_is_named_and_replaced(tmp_path: Path) -> None:
    """All others of its class are taken."""
    save_digits(tmp_path, 60)
    broken = next((tmp_path / "digit-3").iterdir())
    broken.write_bytes(broken.read_bytes()[:50])
    rest = len(list((tmp_path / "digit-3").iterdir())) - 1

    found = _drawn(tmp_path, rest + 1)

    assert found.per_class[3] == rest
    assert [f"digit-3/{broken.name}" in each for each in found.skipped] == [True]


def test_too_many_broken_pictures_are_refused(tmp_path: Path) -> None:
    """With how many there are, and the first of them."""
    save_digits(tmp_path, 40)
    for path in sorted(tmp_path.rglob("*.png"))[:8]:
        path.write_bytes(b"no picture")

    with pytest.raises(SamplesError, match=r"8 of 40 pictures cannot be used, .*`digit-0/.*…"):
        _drawn(tmp_path)


def test_classes_with_few_pictures_give_what_they_have(tmp_path: Path) -> None:
    """No class gets more than asked for, and none is filled up with copies."""
    save_digits(tmp_path, 120)
    for path in sorted((tmp_path / "digit-5").iterdir())[1:]:
        path.unlink()

    found = _drawn(tmp_path, 3)

    assert found.per_class == {**dict.fromkeys(range(10), 3), 5: 1}
    assert len(set(found.pictures)) == len(found.pictures)


def test_pictures_of_all_sizes_need_a_size(tmp_path: Path) -> None:
    """Where neither model nor options state one."""
    save_digits(tmp_path, 30)
    Image.new("L", (20, 20)).save(tmp_path / "digit-0" / "large.png")

    with pytest.raises(
        SamplesError, match=r"the pictures have 2 sizes, .* choose one by `--resize`"
    ):
        _drawn(tmp_path, form=InputForm(height=None, width=None, channels=1, layout="nchw"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_bomb(), "60000 × 60000 pixels|decompression bomb"),
        (b"", "cannot be opened"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be opened"),
    ],
)
def test_what_is_no_harmless_picture_is_not_opened(content: bytes, words: str) -> None:
    """Bombs, nothing, and formats that start programs."""
    with pytest.raises(PictureError, match=words):
        opened(content)


def test_more_than_eight_bits_are_not_cut_off_unseen(tmp_path: Path) -> None:
    """Pillow would clip them to white."""
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(path)

    with pytest.raises(PictureError, match="more than 8 bits"):
        opened(path.read_bytes())
