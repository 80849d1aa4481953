"""The process that exports a native model can fail in any way; its caller gets one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from pipeline.intake.fetch import fetch
from pipeline.intake.native import NativeModel, export
from pipeline.intake.sandbox import IsolationConfig, Sandbox
from pipeline.intake.settings import ExportConfig
from stages.errors import CannotJudge, ConfigError, ConversionError, ModelRefused, ParityError
from stages.export.detect import find_source
from stages.twin.parity import prove_export
from stages.twin.settings import ParityConfig
from tests.support import zoo

LIMITS = IsolationConfig(seconds=60)


def built_by(code: str, folder: Path) -> NativeModel:
    """A model that the function `build` in a file of this code returns."""
    (folder / "nets.py").write_text(code)
    return NativeModel(source=find_source(f"{folder / 'nets.py'}:build"), shape=(3, 32, 32))


def exported(model: NativeModel, folder: Path, seconds: float = 120.0) -> Path:
    place = folder / "export"
    place.mkdir()
    return export(model, place, ExportConfig(seconds=seconds), Sandbox(limits=LIMITS)).path


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        ("raise KeyError('no weights')", ConversionError, "failed: KeyError: 'no weights'; `-v`"),
        ("import os\nos.abort()", ConversionError, "the export of `nets.py` failed"),
        ("net = 1", ConfigError, "`nets.py` has no function `build`"),
        ("def build():\n    return 3", ModelRefused, "the function returned a `int`, expected"),
    ],
)
def test_a_failing_export_is_one_sentence(
    code: str, kind: type[Exception], sentence: str, tmp_path: Path
) -> None:
    """An exception, a crash, a missing function, and what is no model."""
    with pytest.raises(kind) as caught:
        exported(built_by(code, tmp_path), tmp_path)

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_export_that_hangs_is_stopped(tmp_path: Path) -> None:
    """The caller waits as long as it was told to."""
    model = built_by("import time\ntime.sleep(600)", tmp_path)

    with pytest.raises(CannotJudge, match="took longer than 2 s and was stopped"):
        exported(model, tmp_path, seconds=2)


def test_a_python_that_is_none_is_named(tmp_path: Path) -> None:
    """What cannot be run is a wrong option."""
    note = tmp_path / "note.txt"
    note.write_text("no program")
    source = find_source(str(Path(zoo.__file__)) + ":net")

    with pytest.raises(ConfigError, match="cannot run the Python at"):
        exported(NativeModel(source=source, python=str(note)), tmp_path)


def test_a_model_that_does_not_tell_its_input_needs_a_shape(tmp_path: Path) -> None:
    """A module of PyTorch takes anything until it is run."""
    torch.save(zoo.net("small_cnn"), tmp_path / "model.pth")
    model = NativeModel(source=find_source(str(tmp_path / "model.pth")))

    with pytest.raises(ConfigError, match="give `--samples` or `--input-shape`"):
        exported(model, tmp_path)


def _linear(weight: float, path: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.full((2, 3), weight, np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def test_an_export_is_proven_against_the_native_scores(tmp_path: Path) -> None:
    """The scores the native model gave are what the file must give."""
    path = _linear(2.0, tmp_path / "model.onnx")
    images = np.random.default_rng(0).standard_normal((8, 2), np.float32)
    scores = images @ np.full((2, 3), 2.0, np.float32)

    proven = prove_export(path, images, scores, ParityConfig())

    assert proven.max_rel < 1e-6
    assert proven.n == 8
    with pytest.raises(ParityError, match="differs from the native model at batch 1"):
        prove_export(path, images, scores * np.float32(1.001) + 1, ParityConfig())


def test_an_onnx_file_is_copied_before_anything_reads_it(tmp_path: Path) -> None:
    """What changes the file afterwards does not change what is judged."""
    path = _linear(2.0, tmp_path / "model.onnx")
    before = path.read_bytes()
    (tmp_path / "own").mkdir()
    native = NativeModel(source=find_source(str(path)), python=sys.executable)

    fetched = fetch(
        native,
        tmp_path / "own",
        trusted=False,
        config=ExportConfig(),
        sandbox=Sandbox(limits=LIMITS),
    )
    path.write_bytes(b"something else")

    assert fetched.path.read_bytes() == before
    assert fetched.export is None
