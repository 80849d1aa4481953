"""Laws of weights that lie beside a model: only plain files of its own folder are ever read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from onnx import ModelProto, TensorProto, helper

from pipeline.intake.fetch import fetch
from pipeline.intake.native import NativeModel
from pipeline.intake.sandbox import IsolationConfig, Sandbox
from pipeline.intake.settings import ExportConfig
from stages.errors import ModelRefused
from stages.export.detect import find_source
from stages.onnx_file.external_data import inline_weights
from stages.onnx_file.inspection import LARGEST_FILE, inspect_onnx
from tests.support import zoo

LIMITS = IsolationConfig(seconds=20, memory_mb=512)
SECRET = b"the secret of somebody else, long enough for the weights" * 2000
Prepare = Callable[[Path], str]


def save_outside(folder: Path, location: str = "weights.bin") -> Path:
    """A sound classifier whose larger tensors lie in another file."""
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.load_model_from_string(zoo.exported("small_cnn", "legacy"))
    path = folder / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location=location, size_threshold=100)
    return path


def change(path: Path, change: Callable[[ModelProto], None]) -> None:
    """Rewrites the graph of a model without touching its weights."""
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())


def set_place(path: Path, **values: object) -> None:
    """Lets every outside tensor say this about where its data are."""

    def apply(model: ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                told = {one.key: one.value for one in tensor.external_data}
                del tensor.external_data[:]
                for key, value in (told | values).items():
                    tensor.external_data.add(key=key, value=str(value))

    change(path, apply)


def require_refusal(path: Path, reason: str) -> None:
    """The model is refused in one printable line and nothing is written."""
    target = path.parent / "inlined.onnx"

    with pytest.raises(ModelRefused, match=reason) as told:
        inline_weights(path, target)

    assert str(told.value).isprintable()
    assert len(str(told.value)) < 500
    assert not target.exists()


def scores(path: Path) -> np.ndarray:
    """What onnxruntime computes with one file alone, of the same images each time."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": zoo.images(4).numpy()})[0])


def test_the_inlined_model_gives_the_same_scores(tmp_path: Path) -> None:
    """Its one file holds all weights, and passes inspection; before, it was refused."""
    path = save_outside(tmp_path / "folder")
    (tmp_path / "whole.onnx").write_bytes(zoo.exported("small_cnn", "legacy"))
    with pytest.raises(ModelRefused, match="stored outside the file"):
        inspect_onnx(path)

    inlined = inline_weights(path, tmp_path / "inlined.onnx")

    assert inlined == tmp_path / "inlined.onnx"
    assert inspect_onnx(inlined).parameters == inspect_onnx(tmp_path / "whole.onnx").parameters
    np.testing.assert_array_equal(scores(inlined), scores(tmp_path / "whole.onnx"))


def test_the_source_and_its_weights_stay_as_they_are(tmp_path: Path) -> None:
    """Inlining reads and never writes beside the model."""
    path = save_outside(tmp_path / "folder")
    before = {one.name: one.read_bytes() for one in path.parent.iterdir()}

    inline_weights(path, tmp_path / "inlined.onnx")

    assert {one.name: one.read_bytes() for one in path.parent.iterdir()} == before
    assert set(before) == {"model.onnx", "weights.bin"}


def test_a_model_with_its_weights_inside_stays_the_same(tmp_path: Path) -> None:
    """Nothing is looked for."""
    path = tmp_path / "model.onnx"
    path.write_bytes(zoo.exported("small_cnn", "legacy"))

    inlined = inline_weights(path, tmp_path / "inlined.onnx")

    np.testing.assert_array_equal(scores(inlined), scores(path))


def test_a_target_that_exists_is_replaced(tmp_path: Path) -> None:
    """Nothing of it is left."""
    path, target = save_outside(tmp_path / "folder"), tmp_path / "inlined.onnx"
    target.write_bytes(b"an older and much longer file" * 100_000)

    inline_weights(path, target)

    assert scores(target).shape == (4, 10)
    assert target.stat().st_size < 100_000


def test_a_target_that_exists_survives_a_refusal(tmp_path: Path) -> None:
    """What is refused changes no file."""
    path, target = save_outside(tmp_path / "folder"), tmp_path / "inlined.onnx"
    (path.parent / "weights.bin").unlink()
    target.write_bytes(b"an older file")

    with pytest.raises(ModelRefused, match="expected a plain file beside"):
        inline_weights(path, target)

    assert target.read_bytes() == b"an older file"


def _absolute(folder: Path) -> str:
    return str(folder.parent / "secret")


def _through_a_folder(folder: Path) -> str:
    (folder / "inner").mkdir()
    (folder / "inner" / "weights").write_bytes(SECRET)
    return "inner/weights"


def _round_about(folder: Path) -> str:
    (folder / "inner").mkdir()
    return "inner/../weights.bin"


def _symbolic_link(folder: Path) -> str:
    (folder / "link").symlink_to(folder.parent / "secret")
    return "link"


def _link_to_the_weights(folder: Path) -> str:
    (folder / "link").symlink_to(folder / "weights.bin")
    return "link"


def _dangling_link(folder: Path) -> str:
    (folder / "link").symlink_to(folder / "nowhere")
    return "link"


def _link_to_itself(folder: Path) -> str:
    (folder / "link").symlink_to(folder / "link")
    return "link"


def _hard_link(folder: Path) -> str:
    os.link(folder.parent / "secret", folder / "link")
    return "link"


def _fifo(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return "pipe"


def _link_to_a_device(folder: Path) -> str:
    (folder / "link").symlink_to("/dev/zero")
    return "link"


def _folder(folder: Path) -> str:
    (folder / "inner").mkdir()
    return "inner"


NAMES = (
    *("", ".", "..", "./weights.bin", "../secret", "/dev/zero", "nowhere.bin"),
    *("weights.bin/", "~/secret", "a\nOK: nothing found\x1b[2J"),
)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_name_beside_the_model_is_refused(name: str, tmp_path: Path) -> None:
    """Other folders, devices and what is not there, and names that only lead to the weights."""
    path = save_outside(tmp_path / "folder")
    (tmp_path / "secret").write_bytes(SECRET)
    set_place(path, location=name)

    require_refusal(path, "expected a plain file beside the model")


@pytest.mark.parametrize(
    "prepare",
    [
        *(_absolute, _through_a_folder, _round_about, _symbolic_link, _link_to_the_weights),
        *(_dangling_link, _link_to_itself, _hard_link, _fifo, _link_to_a_device, _folder),
    ],
)
def test_what_is_no_plain_file_beside_the_model_is_refused(
    prepare: Prepare, tmp_path: Path
) -> None:
    """Links, pipes, devices and folders are neither read nor waited for."""
    path = save_outside(tmp_path / "folder")
    (tmp_path / "secret").write_bytes(SECRET)
    set_place(path, location=prepare(path.parent))

    require_refusal(path, "expected a plain file beside the model")


@pytest.mark.parametrize("prepare", [_absolute, _symbolic_link, _hard_link, _fifo])
def test_a_scan_of_an_mlflow_folder_refuses_them_too(prepare: Prepare, tmp_path: Path) -> None:
    """The way from an `MLmodel` file to the workspace is the same, and leaves nothing in it."""
    path, workspace = save_outside(tmp_path / "folder"), tmp_path / "workspace"
    (tmp_path / "secret").write_bytes(SECRET)
    workspace.mkdir()
    set_place(path, location=prepare(path.parent))

    with pytest.raises(ModelRefused, match="expected a plain file beside the model"):
        fetch_folder(path.parent, workspace)

    assert list(workspace.iterdir()) == []


def test_a_scan_of_an_mlflow_folder_takes_plain_weights_in(tmp_path: Path) -> None:
    """The one file in the workspace is a whole model."""
    path, workspace = save_outside(tmp_path / "folder"), tmp_path / "workspace"
    workspace.mkdir()

    fetched = fetch_folder(path.parent, workspace)

    assert list(workspace.iterdir()) == [fetched]
    assert scores(fetched).shape == (4, 10)


def fetch_folder(folder: Path, workspace: Path) -> Path:
    """What a scan fetches of a folder that says it is an ONNX model of MLflow."""
    flavours = {"flavors": {"onnx": {"data": "model.onnx"}}}
    (folder / "MLmodel").write_text(yaml.safe_dump(flavours))
    model = NativeModel(source=find_source(str(folder)))
    fetched = fetch(
        model, workspace, trusted=False, config=ExportConfig(), sandbox=Sandbox(limits=LIMITS)
    )
    return fetched.path


@pytest.mark.parametrize(
    "place",
    [
        {"offset": -4},
        {"offset": 2**62},
        {"offset": "four"},
        {"length": -4},
        {"length": 10**8},
        {"location": "x" * 5000},
    ],
    ids=str,
)
def test_places_that_cannot_be_are_refused(place: dict[str, object], tmp_path: Path) -> None:
    """Negative, excessive and unreadable numbers, and names no file can have."""
    path = save_outside(tmp_path)
    set_place(path, **place)

    require_refusal(path, "cannot read the weights beside `model.onnx`|the weights beside")


def test_a_name_with_a_null_byte_is_no_file(tmp_path: Path) -> None:
    """It is refused like any other place, not handed to the system."""
    path = save_outside(tmp_path)
    set_place(path, location="weights.bin\0")

    require_refusal(path, "expected a plain file|cannot read the weights")


def test_weights_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    """A tensor never gets fewer bytes than it was saved with."""
    path = save_outside(tmp_path)
    weights = tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-5])

    require_refusal(path, "cannot read the weights beside `model.onnx`: ValueError")


def test_too_large_weights_are_refused_unread(tmp_path: Path) -> None:
    """More than two GiB are told by the size of the file; this one holds no byte."""
    path = save_outside(tmp_path)
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    set_place(path, offset=0)
    change(path, _without_lengths)

    require_refusal(path, rf"take \d+ bytes, expected {LARGEST_FILE} at most")


def _without_lengths(model: ModelProto) -> None:
    for tensor in model.graph.initializer:
        kept = [one for one in tensor.external_data if one.key != "length"]
        del tensor.external_data[:]
        tensor.external_data.extend(kept)


def test_tensors_that_share_a_large_file_are_refused_unread(tmp_path: Path) -> None:
    """Each reads 512 MiB of it, so the file is small enough and the model is not."""
    path = save_outside(tmp_path)
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(2**29)

    def share(model: ModelProto) -> None:
        _without_lengths(model)
        model.graph.initializer.extend(list(model.graph.initializer) * 5)

    change(path, share)

    require_refusal(path, rf"expected {LARGEST_FILE} at most")


def test_functions_read_no_other_files_either(tmp_path: Path) -> None:
    """Their tensors are looked at where they are called, like those of the graph."""
    path = save_outside(tmp_path)
    far = TensorProto(name="far", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    far.external_data.add(key="location", value="../secret")

    def add(model: ModelProto) -> None:
        node = helper.make_node("Constant", [], ["c"], value=far)
        imports = [helper.make_opsetid("", model.opset_import[0].version)]
        model.functions.append(helper.make_function("f", "Read", [], ["c"], [node], imports))
        model.opset_import.append(helper.make_opsetid("f", 1))
        model.graph.node.append(helper.make_node("Read", [], ["unread"], domain="f"))

    change(path, add)

    require_refusal(path, "`far` is stored in '../secret'")


@pytest.mark.parametrize("name", ["a\nOK: nothing found", "\x1b[2J"])
def test_names_of_outside_tensors_are_shown_only_if_printable(name: str, tmp_path: Path) -> None:
    """A constant's tensor has a name of its own, which no message may carry to a terminal."""
    path = save_outside(tmp_path)
    far = TensorProto(name=name, data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    far.external_data.add(key="location", value="../secret")
    change(path, lambda model: model.graph.node.append(_constant(far)))

    require_refusal(path, "expected printable characters")


def _constant(tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["unread"], value=tensor)


def test_constants_of_branches_are_looked_at(tmp_path: Path) -> None:
    """Weights of a graph in a graph lie outside no more than others."""
    path = save_outside(tmp_path)
    far = TensorProto(name="far", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    far.external_data.add(key="location", value="../secret")
    branch = helper.make_graph([_constant(far)], "branch", [], [], [])

    def add(model: ModelProto) -> None:
        node = helper.make_node("If", ["yes"], [], then_branch=branch, else_branch=branch)
        model.graph.node.append(node)

    change(path, add)

    require_refusal(path, "`far` is stored in '../secret'")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    """An `MLmodel` file may call anything a model."""
    (tmp_path / "model.onnx").write_bytes(b"no model")

    require_refusal(tmp_path / "model.onnx", "is not an ONNX file")
