"""What is not arranged as samples is refused with what to do, and links lead nowhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.samples.collection import Collection
from pipeline.samples.source import collection_of, exact_file
from stages.errors import SamplesError

Make = Callable[[Path], Path]


def _picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(path)
    return path


def _loose(place: Path) -> Path:
    _picture(place / "set" / "1.png")
    return place / "set"


def _empty(place: Path) -> Path:
    (place / "set").mkdir()
    return place / "set"


def _no_pictures(place: Path) -> Path:
    (place / "set" / "cat").mkdir(parents=True)
    (place / "set" / "cat" / "notes.txt").touch()
    return place / "set"


def _splits(place: Path) -> Path:
    _picture(place / "set" / "train" / "cat" / "1.png")
    _picture(place / "set" / "val" / "cat" / "1.png")
    return place / "set"


def _linked_file(place: Path) -> Path:
    _picture(place / "set" / "cat" / "1.png")
    (place / "set" / "cat" / "2.png").symlink_to(_picture(place / "secret.png"))
    return place / "set"


def _linked_folder(place: Path) -> Path:
    _picture(place / "set" / "cat" / "1.png")
    (place / "set" / "dog").symlink_to("/")
    return place / "set"


def _table(text: str) -> Make:
    def make(place: Path) -> Path:
        _picture(place / "secret.png")
        _picture(place / "set" / "1.png")
        (place / "set" / "list.csv").write_text(text)
        return place / "set" / "list.csv"

    return make


def _file(name: str, content: bytes = b"anything") -> Make:
    def make(place: Path) -> Path:
        (place / name).write_bytes(content)
        return place / name

    return make


def _models(place: Path) -> Path:
    (place / "set").mkdir()
    for name in ("a.onnx", "b.onnx"):
        (place / "set" / name).write_bytes(b"anything")
    return place / "set"


def _one_array(place: Path) -> Path:
    np.save(place / "images.npy", np.zeros(3))
    return place / "images.npy"


def _pipe(place: Path) -> Path:
    os.mkfifo(place / "list.csv")
    return place / "list.csv"


def _read(place: Path) -> Collection:
    assert exact_file(place) is None
    return collection_of(place)


REFUSED: dict[str, tuple[Make, str]] = {
    "pictures without folders": (_loose, "a folder with 1 pictures without labels, expected a sub"),
    "an empty folder": (_empty, "a folder with no subfolders, expected a subfolder for each class"),
    "folders without pictures": (_no_pictures, "hold no pictures, expected files that end with"),
    "train and val": (_splits, "has the parts `train`, `val` and no class folders; name one"),
    "a link to a file outside": (_linked_file, "leads out of the folder of the samples"),
    "a link to a folder outside": (_linked_folder, "leads out of the folder of the samples"),
    "an empty table": (_table(""), "is an empty table"),
    "other columns": (_table("a,b,c\n1,2,3\n"), "has the columns `a`, `b`, `c`, expected `path`"),
    "a short row": (_table("path,label\n1.png\n"), "row 1 of .* has 1 columns, expected a path"),
    "a path outside": (_table("path,label\n../secret.png,cat\n"), "leads out of the folder"),
    "an absolute path": (_table("path,label\n/etc/passwd,cat\n"), "leads out of the folder"),
    "pictures that are gone": (_table("path,label\n9.png,cat\n"), "none of the 1 pictures listed"),
    "no text": (_file("list.csv", b"\xff\xfe\x00\x01"), "cannot be read as a table"),
    "a pipe": (_pipe, "cannot be read as a table"),
    "swapped arguments": (_file("net.onnx"), "is a model: the model comes first"),
    "a tflite model": (_file("net.tflite"), "is a model: the model comes first"),
    "weights": (_file("net.safetensors"), "is a model: the model comes first"),
    "a frozen graph": (_file("net.pb"), "is a model: the model comes first"),
    "weights beside a model": (_file("net.onnx.data"), "is a model: the model comes first"),
    "a folder of models": (_models, "is a folder of models: the model comes first"),
    "a pickle": (_file("set.pkl"), "is a pickle, which is not read because it can run code"),
    "tensors of torch": (_file("set.pt"), "is a pickle, which is not read"),
    "one array": (_one_array, "has one array; save images and labels together"),
    "an archive": (_file("set.zip", b"PK\x05\x06" + bytes(18)), "is an archive; unpack it"),
    "a table of a data set": (_file("set.parquet"), "is one table of a data set"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_source_is_refused_with_what_to_do(
    tmp_path: Path, make: Make, words: str
) -> None:
    """Each mistake has its own sentence."""
    place = make(tmp_path)

    with pytest.raises(SamplesError, match=words):
        _read(place)


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    """Sets made of links to their own files are common."""
    first = _picture(tmp_path / "cat" / "1.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "2.png").symlink_to(first)

    assert len(collection_of(tmp_path)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "path,label\n1.png,cat\n",
        "label;file_name;split\ncat;1.png;test\n",
        "\ufeffpath\tlabel\n1.png\tcat\n",
        "1.png,cat\n",
    ],
)
def test_tables_are_read_in_their_usual_forms(tmp_path: Path, text: str) -> None:
    """Commas, semicolons and tabs, other names and order of columns, and no line of names."""
    found = collection_of(_table(text)(tmp_path))

    assert [(each.name, each.label) for each in found.pictures["cat"]] == [("1.png", "cat")]
