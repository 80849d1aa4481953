"""Laws of files that are no ONNX: each known format is called by its name, with what to do."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from stages.errors import ModelRefused
from stages.onnx_file.inspection import load_proto

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
TFLITE = b"\x1c\x00\x00\x00TFL3" + bytes(64)
HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
SAFETENSORS = len(HEADER).to_bytes(8, "little") + HEADER + bytes(4)
NODE = b"\n\x01x\x12\x0bPlaceholder"
SAMPLES = b"PK\x03\x04" + bytes(26) + b"images.npy" + bytes(64)
FROZEN = b"\n" + bytes([len(NODE)]) + NODE


@pytest.mark.parametrize("name", ["model.onnx", "model"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (POINTER, r"is a pointer of Git LFS, .*; fetch it with `git lfs pull`"),
        (SAMPLES, r"holds arrays, such as clean samples, .*; the model comes first"),
        (TFLITE, r"is a TensorFlow Lite model, .*; export the model"),
        (SAFETENSORS, r"holds weights alone \(safetensors\), .*; name the folder"),
        (FROZEN, r"looks like a frozen graph of TensorFlow 1; convert it with"),
        (b"PK\x03\x04" + bytes(64), "is not an ONNX file but an archive; unpack it"),
        (b"\x1f\x8b" + bytes(64), "is not an ONNX file but an archive; unpack it"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "but HDF5, as Keras writes it; .* end with `.h5`"),
        (pickle.dumps({"w": [1.0]}), "but a pickle of Python; .* end with `.pt` or `.pkl`"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "but a picture; the model comes first"),
    ],
)
def test_a_known_format_is_named(content: bytes, reason: str, name: str, tmp_path: Path) -> None:
    """By its content, whatever the file is called."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(ModelRefused, match=reason) as told:
        load_proto(path)

    assert str(told.value).isprintable()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model.onnx.data", "weights of an ONNX model that lies beside it; name the `.onnx` file"),
        ("model.onnx_data", "weights of an ONNX model that lies beside it; name the `.onnx` file"),
        ("model.mlmodel", "is made for Core ML .*; export the model it was made from to ONNX"),
        ("model.engine", "is made for TensorRT .*; export the model it was made from to ONNX"),
        ("model.xml", "is made for OpenVINO .*; export the model it was made from to ONNX"),
        ("last.ckpt", r"is a checkpoint of weights, .*; name a function .* \(`FILE.py:FUNCTION`\)"),
        ("samples.csv", "is a table, .* and no model; the model comes first"),
    ],
)
def test_a_name_says_what_the_bytes_do_not(name: str, reason: str, tmp_path: Path) -> None:
    """Each with what to do."""
    (tmp_path / name).write_bytes(b"\xfe" * 60)

    with pytest.raises(ModelRefused, match=reason):
        load_proto(tmp_path / name)


def test_a_file_named_as_a_frozen_graph_is_taken_for_one(tmp_path: Path) -> None:
    """Its nodes may begin with any operator."""
    path = tmp_path / "graph.pb"
    path.write_bytes(b"\n\x06\n\x01a\x12\x01b")

    with pytest.raises(ModelRefused, match="frozen graph of TensorFlow 1"):
        load_proto(path)


@pytest.mark.parametrize("content", [b"{}", b"\xff" * 7, b"\x02" + bytes(7) + b"{", b"\x0a"])
def test_what_is_not_known_is_no_onnx_file(content: bytes, tmp_path: Path) -> None:
    """Short and damaged files get the plain sentence."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(ModelRefused, match="is not an ONNX file"):
        load_proto(path)
