"""Laws of MLflow folders: the flavour tells file and framework, and nothing is loaded to see it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from stages.errors import ModelRefused
from stages.export.detect import find_source
from stages.export.mlflow_folder import source_in_mlflow_folder
from stages.export.whole_folder import unexplained
from tests.support import exports
from tests.support.mlflow_folders import (
    CLASSES,
    IMAGES,
    WRITTEN,
    as_onnx,
    as_transformers,
    save,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:FutureWarning"),
]

CODE = """
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(192, 3)

    def forward(self, images):
        return self.linear(images.flatten(1))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], None]], Path]:
    """The folder a function writes, written once."""
    root = tmp_path_factory.mktemp("mlflow")

    def folder_of(write: Callable[[Path], None]) -> Path:
        folder = root / write.__name__
        if not folder.exists():
            write(folder)
        return folder

    return folder_of


@pytest.fixture
def _imports() -> Iterator[None]:
    """Leaves the modules and import paths as they were."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.parametrize("write", WRITTEN, ids=lambda write: write.__name__)
def test_a_folder_written_by_mlflow_is_understood(
    write: Callable[[Path], None], written: Callable[..., Path]
) -> None:
    """Framework, file and kind are those that were saved, `find_source` says the same, and no file
    and no statement is left unexplained.
    """
    folder = written(write)
    framework, name, kind = WRITTEN[write]

    source = source_in_mlflow_folder(folder)

    assert (source.framework, source.path, source.kind) == (framework, folder / name, kind)
    assert source.code == ()
    assert find_source(str(folder)) == source
    assert unexplained(folder, source, (), code=False) == ()


@pytest.mark.parametrize(
    "write", [write for write in WRITTEN if write is not as_onnx], ids=lambda write: write.__name__
)
def test_a_folder_written_by_mlflow_is_exported(
    write: Callable[[Path], None], written: Callable[..., Path], tmp_path: Path
) -> None:
    """Every native flavour ends in an ONNX file with the scores of the model."""
    source = source_in_mlflow_folder(written(write))

    exported = exports.export(
        source, tmp_path / "out", shape=IMAGES.shape[1:] if source.framework == "pytorch" else None
    )

    exports.assert_faithful(exported)
    exports.assert_free_batch(exported)


def test_the_weights_of_an_onnx_model_lie_beside_it(written: Callable[..., Path]) -> None:
    """The path given is the one that the file's external data are relative to."""
    source = source_in_mlflow_folder(written(as_onnx))

    model = onnx.load(source.path)

    assert len(model.graph.initializer) > 0


@pytest.mark.usefixtures("_imports")
def test_the_models_own_code_comes_with_it(tmp_path: Path) -> None:
    """A class logged with `code_paths` is imported from the folder, and only in the export."""
    code, folder = tmp_path / "own_layers.py", tmp_path / "model"
    code.write_text(CODE)
    spec = importlib.util.spec_from_file_location("own_layers", code)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["own_layers"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    save("pytorch", module.Network(), folder, code_paths=[str(code)], serialization_format="pickle")
    del sys.modules["own_layers"]

    source = source_in_mlflow_folder(folder)

    assert source.code == (folder / "code",)
    assert unexplained(folder, source, (), code=True) == ()
    strange = [each.file for each in unexplained(folder, source, (), code=False)]
    assert strange == ["MLmodel", "MLmodel", "code/own_layers.py"]
    assert "own_layers" not in sys.modules
    exports.assert_faithful(exports.export(source, tmp_path / "out", shape=IMAGES.shape[1:]))


def flavoured(folder: Path, **flavours: object) -> Path:
    """A folder whose `MLmodel` has these flavours."""
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours}))
    return folder


def filled(folder: Path, *names: str) -> None:
    """Puts files of these names into a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"the bytes of a model")


def refusal(folder: Path) -> str:
    """The one sentence a folder is refused with."""
    with pytest.raises(ModelRefused) as refused:
        source_in_mlflow_folder(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("options", "name", "framework"),
    [
        ({"data": "data", "model_type": "keras"}, "data/model.keras", "keras"),
        ({"data": "data", "save_format": "h5"}, "data/model.h5", "keras"),
        ({"data": "data", "save_format": "tf"}, "data/model/saved_model.pb", "tensorflow"),
        ({"saved_model_dir": "tf2model"}, "tf2model/saved_model.pb", "tensorflow"),
    ],
)
def test_tensorflow_keeps_keras_files_and_savedmodels(
    options: dict[str, str], name: str, framework: str, tmp_path: Path
) -> None:
    """One flavour of MLflow holds the files of two frameworks, in the layouts of its releases."""
    folder = flavoured(tmp_path / "model", tensorflow=options)
    filled(folder, name)

    source = source_in_mlflow_folder(folder)

    expected = folder / name
    assert source.framework == framework
    assert source.path == (expected if framework == "keras" else expected.parent)


def test_a_paddle_model_is_its_parameters_file(tmp_path: Path) -> None:
    """MLflow names the stem of the files that Paddle writes."""
    folder = flavoured(tmp_path / "model", paddle={"pickled_model": "model"})
    filled(folder, "model.pdiparams", "model.pdmodel")

    source = source_in_mlflow_folder(folder)

    assert (source.framework, source.path) == ("paddle", folder / "model.pdiparams")


def test_onnx_is_taken_before_every_other_flavour(tmp_path: Path) -> None:
    """A folder with several flavours gives the one that needs no trust."""
    sklearn, onnx_flavour = {"pickled_model": "model.pkl"}, {"data": "model.onnx"}
    folder = flavoured(tmp_path / "model", sklearn=sklearn, onnx=onnx_flavour)
    filled(folder, "model.pkl", "model.onnx")

    assert source_in_mlflow_folder(folder).framework == "onnx"


def test_nothing_is_unpickled_to_look_at_a_folder(tmp_path: Path) -> None:
    """A pickle that would leave a mark leaves none."""
    folder = flavoured(tmp_path / "model", sklearn={"pickled_model": "model.pkl"})
    mark = tmp_path / "mark"

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(mark),)

    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb()))

    source_in_mlflow_folder(folder)

    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    ["python_function", "xgboost", "lightgbm", "catboost", "spark", "statsmodels", "langchain"],
)
def test_other_flavours_are_refused_by_name(name: str, tmp_path: Path) -> None:
    """What has no exporter is named, with what can be given instead."""
    folder = flavoured(tmp_path / "model", **{name: {"data": "model"}, "python_function": {}})

    message = refusal(folder)

    assert f"`{name}`" in message
    assert "`pytorch`" in message
    assert "FILE.py:FUNCTION" in message


@pytest.mark.parametrize(
    "place", ["../secret.onnx", "/etc/passwd", "link.onnx", "sub/../../secret.onnx", 7, ["a"]]
)
def test_what_lies_outside_the_folder_is_refused(place: object, tmp_path: Path) -> None:
    """No path, dots or link lead out of the folder that was given."""
    (tmp_path / "secret.onnx").write_bytes(b"a secret")
    folder = flavoured(tmp_path / "model", onnx={"data": place})
    filled(folder, "7", "['a']", "sub/inner")
    (folder / "link.onnx").symlink_to(tmp_path / "secret.onnx")

    message = refusal(folder)

    assert "expected the name of something inside its folder" in message
    assert str(place) in message


@pytest.mark.parametrize("place", ["..", "/etc"])
def test_code_outside_the_folder_is_refused(place: str, tmp_path: Path) -> None:
    """Code is imported from the folder of the model or not at all."""
    folder = flavoured(tmp_path / "model", sklearn={"pickled_model": "model.pkl", "code": place})
    filled(folder, "model.pkl")

    assert "expected the name of something inside its folder" in refusal(folder)


@pytest.mark.parametrize("place", ["gone.onnx", "x" * 5000, "a\0b"])
def test_a_missing_file_is_named(place: str, tmp_path: Path) -> None:
    """A model that is not in the folder is refused before anything runs."""
    folder = flavoured(tmp_path / "model", onnx={"data": place})

    message = refusal(folder)

    assert "the onnx model in `model` is not in the folder" in message
    assert place[:3] in message


def test_missing_code_is_named(tmp_path: Path) -> None:
    """A model whose code was not downloaded cannot be loaded."""
    folder = flavoured(tmp_path / "model", sklearn={"pickled_model": "model.pkl", "code": "code"})
    filled(folder, "model.pkl")

    assert "expected `code`" in refusal(folder)


def test_a_transformers_model_without_weights_is_refused(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    """A folder that only refers to a model of a hub holds none."""
    folder = tmp_path / "model"
    shutil.copytree(written(as_transformers), folder)
    told = yaml.safe_load((folder / "MLmodel").read_text())
    del told["flavors"]["transformers"]["model_binary"]
    (folder / "MLmodel").write_text(yaml.safe_dump(told))

    assert "with its weights" in refusal(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"flavors: [",
        b"flavors: {a: 2020-99-99}",
        b"flavors: {a: !!bool x}",
        b"flavors: {a: !!int ''}",
        b"flavors: {a: !!timestamp x}",
        b"flavors: !!python/object/apply:os.getcwd []",
        b"[" * 100_000,
        b"flavors",
        b"flavors: onnx",
        b"flavors: [onnx]",
        b"flavors: {1: {}}",
        b"flavors: {onnx: model.onnx}",
        b"flavors: {onnx: {}}",
    ],
    ids=lambda content: content[:30],
)
def test_a_malformed_file_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever `MLmodel` holds, one sentence names the folder."""
    (tmp_path / "MLmodel").write_bytes(content)

    assert f"`{tmp_path.name}`" in refusal(tmp_path)


def test_a_folder_without_mlmodel_is_refused(tmp_path: Path) -> None:
    """The sentence says which file is expected."""
    assert "cannot read `MLmodel`" in refusal(tmp_path)


def test_a_linear_model_of_mlflow_keeps_its_scores(tmp_path: Path) -> None:
    """The default format of MLflow needs no trusted types for a linear model."""
    points, labels = np.random.default_rng(0).random((60, 6)), np.arange(60) % CLASSES
    save("sklearn", LogisticRegression().fit(points, labels), tmp_path / "model")

    exported = exports.export(source_in_mlflow_folder(tmp_path / "model"), tmp_path / "out")

    exports.assert_faithful(exported)
