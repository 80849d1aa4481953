"""What lies at a path is told without loading it, and without waiting for it."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
import torch

from stages.errors import ConfigError
from stages.export.detect import find_source, models_at, place_of
from tests.support import zoo


def archive(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for member in members:
            file.writestr(member, "")
    return path


@pytest.mark.parametrize(
    ("members", "framework", "kind"),
    [
        (("config.json", "metadata.json", "model.weights.h5"), "keras", ""),
        (("m/archive_format", "m/models/model.json"), "pytorch", "program"),
        (("m/code/a.py", "m/constants.pkl", "m/data.pkl"), "pytorch", "torchscript"),
        (("m/data.pkl", "m/byteorder"), "pytorch", "module"),
        (("schema.json",), "sklearn", "skops"),
    ],
)
def test_an_archive_is_told_by_its_members(
    members: tuple[str, ...], framework: str, kind: str, tmp_path: Path
) -> None:
    """Whatever the file is called."""
    source = find_source(str(archive(tmp_path / "model.bin", *members)))

    assert (source.framework, source.kind) == (framework, kind)


@pytest.mark.parametrize(
    ("name", "framework"),
    [
        *(("a.onnx", "onnx"), ("a", "onnx"), ("a.pkl", "sklearn"), ("a.joblib", "sklearn")),
        *(("a.h5", "keras"), ("a.pth", "pytorch"), ("a.pdmodel", "paddle")),
    ],
)
def test_other_files_are_told_by_their_names(name: str, framework: str, tmp_path: Path) -> None:
    """What no framework claims is taken for ONNX, which its inspection will check."""
    (tmp_path / name).write_bytes(b"anything")

    assert find_source(str(tmp_path / name)).framework == framework


def test_real_files_of_torch_are_told_apart(tmp_path: Path) -> None:
    """By what torch itself writes."""
    net = zoo.net("small_cnn")
    torch.save(net, tmp_path / "module")
    torch.export.save(torch.export.export(net, (zoo.images(2),)), tmp_path / "program.pt2")

    kinds = [find_source(str(tmp_path / name)).kind for name in ("module", "program.pt2")]

    assert kinds == ["module", "program"]


@pytest.mark.parametrize(
    ("file", "content", "framework"),
    [
        ("saved_model.pb", "", "tensorflow"),
        ("inference.pdiparams", "", "paddle"),
        ("config.json", json.dumps({"model_type": "vit"}), "transformers"),
    ],
)
def test_a_folder_is_told_by_its_files(
    file: str, content: str, framework: str, tmp_path: Path
) -> None:
    """As the frameworks write them."""
    (tmp_path / file).write_text(content)

    assert find_source(str(tmp_path)).framework == framework


@pytest.mark.parametrize("config", ["[" * 100_000, "{", "[]", "\x00"])
def test_a_folder_of_something_else_is_no_model(config: str, tmp_path: Path) -> None:
    """Also where its `config.json` is somebody else's, or hostile."""
    (tmp_path / "config.json").write_text(config)

    with pytest.raises(ConfigError, match="holds no model that is known"):
        find_source(str(tmp_path))


def test_a_function_is_named_after_its_file(tmp_path: Path) -> None:
    """`FILE.py:FUNCTION`; the file alone is not enough."""
    path = tmp_path / "nets.py"
    path.write_text("raise SystemExit")

    source = find_source(f"{path}:build")

    assert (source.path, source.factory) == (path, "build")
    assert place_of(str(path)) == (path, None)
    with pytest.raises(ConfigError, match=r"name the function that builds the model, as nets\.py:"):
        find_source(str(path))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing file and a missing file of a function."""
    for name in ("none.onnx", "none.py:build"):
        with pytest.raises(ConfigError, match=r"none.* does not exist"):
            find_source(str(tmp_path / name))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nothing is read from what is no plain file."""
    os.mkfifo(tmp_path / "pipe.pt2")

    assert find_source(str(tmp_path / "pipe.pt2")).framework == "onnx"


def _folder(place: Path, *names: str) -> Path:
    place.mkdir()
    for name in names:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(b"anything")
    return place


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        (("a.onnx", "b.onnx"), "found 2; name one of them, such as `a.onnx`"),
        (("cat/1.png",), "if these are pictures, the model comes first and the samples after"),
        (("a.txt",), "found 0; name the model's own file or folder"),
    ],
)
def test_a_folder_that_is_no_model_is_refused_with_advice(
    names: tuple[str, ...], advice: str, tmp_path: Path
) -> None:
    """By what is in it."""
    with pytest.raises(ConfigError, match=advice):
        find_source(str(_folder(tmp_path / "given", *names)))


def test_a_folder_of_onnx_files_stands_for_each_of_them(tmp_path: Path) -> None:
    """In the order of their names, without the weights beside them; no model's folder does."""
    several = _folder(tmp_path / "several", "b.onnx", "a.onnx", "b.onnx.data", "note.txt")
    one, mlflow = _folder(tmp_path / "one", "a.onnx"), _folder(tmp_path / "m", "a.onnx", "b.onnx")
    (mlflow / "MLmodel").touch()

    assert models_at(str(several)) == (str(several / "a.onnx"), str(several / "b.onnx"))
    for place in (str(one), str(mlflow), str(one / "a.onnx"), "models:/m/1", "nothing.onnx"):
        assert models_at(place) == (place,)
