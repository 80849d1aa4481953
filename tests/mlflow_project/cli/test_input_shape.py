"""A model that leaves sizes free is inspected at the size that is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from click.testing import Result

from mlflow_project import commands

Call = Callable[..., Result]


@pytest.fixture
def free(tmp_path: Path) -> Path:
    """The clean model of the demo, whose file no longer says how large an image is."""
    path = tmp_path / "free.onnx"
    model = onnx.load(commands.DEMO / "clean.onnx")
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side_{axis}"
    onnx.save_model(model, path)
    return path


def test_without_a_shape_the_option_is_named(call: Call, free: Path) -> None:
    """One sentence says what to give."""
    result = call("inspect", free)

    assert result.exit_code == 3
    assert "has 2 free sizes beside the batch" in result.stderr
    assert "--input-shape" in result.stderr


def test_a_given_shape_is_taken(call: Call, free: Path) -> None:
    """The advice works."""
    result = call("inspect", free, "--input-shape", "1,16,16")

    assert result.exit_code == 0, result.output
    assert "classes     10" in result.stdout


@pytest.mark.parametrize("shape", ["3,16,16", "1,16", "1,16,16,1"])
def test_a_shape_that_contradicts_the_file_is_refused(call: Call, free: Path, shape: str) -> None:
    """Found and expected, in one sentence."""
    result = call("inspect", free, "--input-shape", shape)

    assert result.exit_code == 3
    assert f"`--input-shape` is {shape}" in result.stderr
    assert "expects 1,any,any" in result.stderr
