"""Laws for files that lie, break the format or attack: each ends in one clear sentence.

A hostile file either is refused with a `CannotJudge` or works as the harmless model it is; nothing
else may come out of inspection, normalising, conversion and the first run, which happen in a child
process within small limits, as in a scan.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from onnx import ModelProto, NodeProto, TensorProto, helper

from mlflow_project.cli.main import main
from pipeline.intake.sandbox import isolated
from pipeline.intake.untrusted import describe
from stages.errors import ModelRefused
from stages.onnx_file.inspection import LARGEST_FILE, inspect_onnx
from tests.support.bombs import BOMBS, bomb
from tests.support.hostile_files import CHANGES, Change, crafted
from tests.support.hostile_judging import IMAGES, LIMITS, judge, require_sentence, written
from tests.support.tiny_model import MIXING, nest, tiny


@pytest.mark.parametrize("name", CHANGES)
def test_broken_models_are_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    """Each change makes the sound model one that is refused, for the stated reason."""
    kind, reason, change = CHANGES[name]
    model = tiny()
    change(model)

    with pytest.raises(kind, match=reason) as told:
        isolated(LIMITS, describe, written(model.SerializeToString(), tmp_path))

    assert type(told.value) is kind
    require_sentence(told.value)


def test_there_are_many_crafted_files() -> None:
    """They are at least forty, and no two are the same."""
    assert len(set(crafted().values())) >= 40
    assert len(set(crafted().values())) == len(crafted())


def test_the_model_they_change_is_sound(tmp_path: Path) -> None:
    """Without a change the tiny model becomes a twin, so that each refusal is due to its change."""
    assert judge(tiny().SerializeToString(), tmp_path)(IMAGES).shape == (2, 5)


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, which protobuf lets through, are refused as a name."""
    content = tiny().SerializeToString().replace(b"pooled", b"p\xff\xfeled")

    with pytest.raises(ModelRefused) as told:
        judge(content, tmp_path)

    require_sentence(told.value)


def test_attributes_of_no_known_kind_are_refused(tmp_path: Path) -> None:
    """What the checker lets through and no reader knows is refused by normalising."""
    model = tiny()
    model.graph.node.append(helper.make_node("Constant", [], ["text"], value_string="t"))
    content = bytearray(model.SerializeToString())
    kind = content.index(b"value_string") + len("value_string")
    content[content.index(b"\xa0\x01", kind) + 2] = 0x7F

    with pytest.raises(ModelRefused) as told:
        judge(bytes(content), tmp_path)

    require_sentence(told.value)


def _code_as_a_node_name(model: ModelProto) -> None:
    model.graph.node[0].name = model.graph.node[1].name = "x'); raise SystemExit('"


def _code_as_value_names(model: ModelProto) -> None:
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "import os"
    model.graph.node[1].output[0] = model.graph.node[2].input[0] = "__class__"


def _minus_one_for_free(model: ModelProto) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = -1


def _unread_nonsense(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["unread"]))
    model.training_info.add()


def _backwards(model: ModelProto) -> None:
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])


def _bfloat16_weights(model: ModelProto) -> None:
    tensor = helper.make_tensor("matrix", TensorProto.BFLOAT16, [4, 5], [1.0] * 20)
    model.graph.initializer[1].CopyFrom(tensor)


def _deep_branches(model: ModelProto) -> None:
    nest(model, 12)


@pytest.mark.parametrize(
    "change",
    [
        *(_code_as_a_node_name, _code_as_value_names, _minus_one_for_free),
        *(_unread_nonsense, _backwards, _bfloat16_weights, _deep_branches),
    ],
)
def test_what_is_only_odd_computes_as_ever(change: Change, tmp_path: Path) -> None:
    """Names that are code, unread nonsense and old spellings change no logits."""
    expected = judge(tiny().SerializeToString(), tmp_path)(IMAGES)
    model = tiny()
    change(model)

    found = judge(model.SerializeToString(), tmp_path)(IMAGES)

    if change is _deep_branches:
        expected = expected.relu() @ torch.from_numpy(MIXING)
    assert torch.allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "location",
    [
        *("../secret", "/etc/passwd", "/dev/zero", "symlink", "hardlink", "fifo", "nowhere"),
        *("secret", "model.onnx", "", "a\nb"),
    ],
)
@pytest.mark.parametrize("offset", [0, -4, 2**62])
def test_a_lone_file_has_no_weights_elsewhere(location: str, offset: int, tmp_path: Path) -> None:
    """Whether or not there is something, it is not looked for."""
    (tmp_path / "secret").write_bytes(b"secret" * 100)
    (tmp_path / "symlink").symlink_to(tmp_path / "secret")
    os.link(tmp_path / "secret", tmp_path / "hardlink")
    os.mkfifo(tmp_path / "fifo")
    model = tiny()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": offset, "length": 432}.items():
        tensor.external_data.add(key=key, value=str(value))

    with pytest.raises(ModelRefused, match="`kernel` is stored outside the file") as told:
        inspect_onnx(written(model.SerializeToString(), tmp_path))

    require_sentence(told.value)


@pytest.mark.parametrize(
    ("size", "reason"), [(0, "found 0 bytes"), (LARGEST_FILE + 1, f"expected 1 to {LARGEST_FILE}")]
)
def test_no_file_and_too_much_file_are_told_by_size(size: int, reason: str, tmp_path: Path) -> None:
    """Neither an empty file nor one of more than two GiB, all of it a hole, is read."""
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(size)

    with pytest.raises(ModelRefused, match=reason):
        isolated(LIMITS, describe, path)


@pytest.mark.usefixtures("mlflow_settings")
@pytest.mark.parametrize("form", ["file", "folder"])
@pytest.mark.parametrize(
    "name", ["functions_that_double", "data_of_another_folder", "huge_kernel", "Tile"]
)
def test_a_whole_scan_of_a_hostile_file_is_inconclusive(
    name: str, form: str, sqlite_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 3 and one reason in `verdict.json`, as a file and as the ONNX model of an MLflow folder.

    No verdict is ever `clean`, and nothing of the file comes into the folder it was scanned from.
    """
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    (tmp_path / "model").mkdir()
    bombs = {"Tile": bomb(BOMBS["Tile"], 2**28).SerializeToString()}
    path = written((crafted() | bombs)[name], tmp_path / "model")
    if form == "folder":
        (path.parent / "MLmodel").write_text("flavors:\n  onnx:\n    data: model.onnx\n")
    labels = np.arange(150, dtype=np.int64) % 5
    images = np.random.default_rng(0).random((150, 3, 8, 8), dtype=np.float32)
    np.savez(tmp_path / "samples.npz", images=images, labels=labels)
    before = sorted(path.parent.iterdir())

    result = CliRunner().invoke(
        main,
        [
            *("scan", str(path if form == "file" else path.parent)),
            *("--samples", str(tmp_path / "samples.npz"), "--output", str(tmp_path / "out")),
            *("--set", "isolation.memory_mb=512;isolation.seconds=20"),
            *("--tracking-uri", sqlite_store),
        ],
    )

    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert result.exit_code == 3, result.output
    assert verdict["verdict"] == "inconclusive"
    (reason,) = verdict["reasons"]
    assert reason.isprintable()
    assert sorted(path.parent.iterdir()) == before
