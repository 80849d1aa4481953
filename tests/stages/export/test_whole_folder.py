"""Laws of a whole folder: whatever can be served from it is the model that is judged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.errors import ModelRefused
from stages.export.mlflow_folder import source_in_mlflow_folder
from stages.export.mlmodel_file import LARGEST, read_mlmodel
from stages.export.whole_folder import unexplained
from tests.support.mlflow_folders import as_onnx

Flavours = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX model as MLflow writes it."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    as_onnx(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def found(folder: Path) -> list[tuple[str, str]]:
    """What is not explained: the file, and what it is."""
    source = source_in_mlflow_folder(folder)
    return [(each.file, each.what) for each in unexplained(folder, source, (), code=False)]


def told(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes what `MLmodel` states."""
    document = yaml.safe_load((folder / "MLmodel").read_text())
    change(document)
    (folder / "MLmodel").write_text(yaml.safe_dump(document))


def filled(folder: Path, *names: str) -> None:
    """Puts files of these names into a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"anything")


OTHER_PYFUNCS: list[dict[str, Any]] = [
    *({"data": name} for name in ("other.onnx", "./model.onnx", "Model.onnx", "sub", ["a"], 7)),
    *({"loader_module": name} for name in ("os", "own_loader", "mlflow.pytorch", "mlflow.pyfunc")),
    {"loader_module": "mlflow.onnx.evil"},
    {"loader_module": ["mlflow.onnx"]},
    {"code": "code"},
    {"code": "."},
    {"model_code_path": "model.py"},
    {"model_path": "other.onnx"},
    {"env": {"conda": "../conda.yaml"}},
    {"env": {"conda": "conda.yaml", "container": "image"}},
    {"config": {"path": "elsewhere"}},
    {"predict_fn": "get_raw_model"},
    {"python_model": "python_model.pkl"},
    {"artifacts": {"net": {"path": "net.onnx"}}},
    {"streamable": True},
]


@pytest.mark.parametrize("options", OTHER_PYFUNCS, ids=str)
def test_what_is_served_is_what_was_judged(options: dict[str, Any], folder: Path) -> None:
    """Another file, loader, or code of `python_function` is named with its option and value."""
    told(folder, lambda document: document["flavors"]["python_function"].update(options))

    (name, value) = next(iter(options.items()))
    assert any(file == "MLmodel" and f"`{name}: {value}`" in what for file, what in found(folder))


@pytest.mark.parametrize(
    "options",
    [
        {"code": "code"},
        {"providers": [["TensorrtExecutionProvider", {"trt_engine_cache_path": "engine"}]]},
        {"onnx_session_options": {"extra_session_config": {"session.use_env_allocators": "1"}}},
        {"data2": "other.onnx"},
    ],
    ids=str,
)
def test_an_option_is_known(options: dict[str, Any], folder: Path) -> None:
    """What the judged flavour states beside its data can change nothing that is served."""
    filled(folder, "code/evil.py")
    told(folder, lambda document: document["flavors"]["onnx"].update(options))

    assert ("MLmodel", next(iter(options))) in [
        (file, name) for file, what in found(folder) for name in options if f"`{name}: " in what
    ]


@pytest.mark.parametrize("name", ["spark", "xgboost", "pmdarima", "crate", "Onnx", "mlflow.onnx"])
def test_an_unknown_flavour_is_named(name: str, folder: Path) -> None:
    """Nobody here knows what it would load."""
    told(folder, lambda document: document["flavors"].update({name: {"data": "model.onnx"}}))

    assert found(folder) == [("MLmodel", f"in `MLmodel` the flavour `{name}`")]


def test_another_flavour_with_another_file_is_named(folder: Path) -> None:
    """A network of torch beside the ONNX file that is judged."""
    filled(folder, "data/model.pth", "data/pickle_module_info.txt")
    flavour = {"model_data": "data", "pytorch_version": "2"}
    told(folder, lambda document: document["flavors"].update(pytorch=flavour))

    assert found(folder) == [
        ("MLmodel", "in `MLmodel` the flavour `pytorch` with `data`"),
        ("data/model.pth", "the file `data/model.pth`"),
        ("data/pickle_module_info.txt", "the file `data/pickle_module_info.txt`"),
    ]


def test_another_flavour_with_the_same_file_is_explained(tmp_path: Path) -> None:
    """As MLflow wrote Keras models, by two flavours."""
    options = {"data": "data", "keras_version": "2", "save_format": "h5"}
    pyfunc = {"loader_module": "mlflow.tensorflow", "data": "data"}
    flavours = {"keras": options, "tensorflow": {**options}, "python_function": pyfunc}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours}))
    filled(tmp_path, "data/model.h5")
    for name, text in (("keras_module.txt", "tensorflow.keras"), ("save_format.txt", "h5")):
        (tmp_path / "data" / name).write_text(text)

    assert found(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [
        *("model2.onnx", "model.onnx.data", "code/evil.py", "sub/MLmodel", "sub/model.onnx"),
        *("python_model.pkl", "artifacts/net.onnx", "README", ".hidden", "Model.onnx", "a\\b"),
        *("metadata/MLmodel", "metadata/other", "data/model.pth", "extra_files/a", "mlmodel"),
        *("custom_objects.cloudpickle", "model.onnx/", "sitecustomize.py", "input_example.pkl"),
    ],
)
def test_a_file_nobody_explains_is_named(name: str, folder: Path) -> None:
    """Wherever it lies, and however innocent its name is."""
    filled(folder, name if not name.endswith("/") else f"{name[:-1]}.d/x")

    assert len(found(folder)) == 1
    assert found(folder)[0][0] in (name, f"{name[:-1]}.d/x")


@pytest.mark.parametrize(
    "name", ["registered_model_meta", "LICENSE.txt", "constraints.txt", "input_example.json"]
)
def test_files_about_the_model_are_explained(name: str, folder: Path) -> None:
    """MLflow leaves them beside models, and loads none of them as one."""
    filled(folder, name)

    assert found(folder) == []


def test_a_copy_among_the_metadata_is_explained(folder: Path) -> None:
    """MLflow copies the files about a model for some registries, as they are."""
    (folder / "metadata").mkdir()
    for name in ("MLmodel", "conda.yaml"):
        shutil.copy(folder / name, folder / "metadata")

    assert found(folder) == []


def test_links_are_refused(folder: Path) -> None:
    """Also those to files of the folder: what they lead to is not what was hashed."""
    (folder / "LICENSE").symlink_to(folder / "model.onnx")

    with pytest.raises(ModelRefused, match="`LICENSE` in `model` is a link"):
        found(folder)


@pytest.mark.parametrize("text", ["os", "mlflow.pytorch.pickle_module\n", "pickle" * 100])
def test_a_module_that_mlflow_imports_by_a_file_is_known(text: str, tmp_path: Path) -> None:
    """The pickle module of a torch model stands in a file of its own."""
    flavours = {"pytorch": {"model_data": "data"}, "python_function": {"data": "data"}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours}))
    filled(tmp_path, "data/model.pth")
    (tmp_path / "data" / "pickle_module_info.txt").write_text(text)

    assert [file for file, _ in found(tmp_path)] == ["data/pickle_module_info.txt"]


@pytest.mark.parametrize(
    "statements",
    [
        {"resources": {"api_version": "1", "databricks": {"serving_endpoint": [{"name": "x"}]}}},
        {"prompts": ["prompts:/x/1"]},
        {"auth_policy": {"system_auth_policy": {}}},
        {"saved_input_example_info": {"artifact_path": "../secret.json", "type": "ndarray"}},
        {"Flavors": {"onnx": {"data": "other.onnx"}}},
        {"flavours": {"onnx": {"data": "other.onnx"}}},
    ],
    ids=str,
)
def test_a_statement_about_something_else_is_named(
    statements: dict[str, Any], folder: Path
) -> None:
    """What lies outside the folder, or might be read in place of what was read."""
    told(folder, lambda document: document.update(statements))

    assert [what.split("`")[3].split(":")[0] for _, what in found(folder)] == [*statements]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("flavors:\n  onnx: {data: a}\n  onnx: {data: b}", "`onnx` stands twice"),
        ("flavors: {onnx: {data: a}}\nflavors: {onnx: {data: b}}", "`flavors` stands twice"),
        ("flavors: {onnx: {data: a, 'data': b}}", "`data` stands twice"),
        ("a: &a {data: x}\nflavors: {onnx: *a}", "by an alias"),
        ("a: &a {data: x}\nflavors: {onnx: {<<: {data: y}}}", "no plain text"),
        ("flavors: {? [onnx] : {data: a}}", "no plain text"),
    ],
)
def test_a_file_has_one_meaning(text: str, reason: str, tmp_path: Path) -> None:
    """Two readers of YAML take it for the same."""
    (tmp_path / "MLmodel").write_text(text)

    with pytest.raises(ModelRefused, match="can be read in two ways") as refused:
        read_mlmodel(tmp_path)

    assert reason in str(refused.value)


@pytest.mark.parametrize("text", ["flavors: {a: b}\n--- {}\n", "#" * (LARGEST + 1)])
def test_a_file_is_one_small_document(text: str, tmp_path: Path) -> None:
    """A second document, or one that would take minutes to read, is refused at once."""
    (tmp_path / "MLmodel").write_text(text)

    with pytest.raises(ModelRefused, match="MLmodel"):
        read_mlmodel(tmp_path)
