"""A lone ONNX file with its weights beside it is taken wherever a command takes a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from click.testing import Result

from mlflow_project import commands

pytestmark = pytest.mark.usefixtures("mlflow_settings")

Call = Callable[..., Result]


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The clean model of the demo in two files."""
    path = tmp_path / "beside" / "clean.onnx"
    path.parent.mkdir()
    model = onnx.load(commands.DEMO / "clean.onnx")
    onnx.save_model(model, path, save_as_external_data=True, location="clean.onnx.data")
    return path


def test_inspect_takes_it(call: Call, beside: Path) -> None:
    """It says what it says of the model in one file, but for the digest of the bytes."""
    told, of_one = call("inspect", beside), call("inspect", commands.DEMO / "clean.onnx")

    assert told.exit_code == 0, told.output
    both = zip(told.stdout.splitlines(), of_one.stdout.splitlines(), strict=True)
    assert {one.split()[0] for one, other in both if one != other} <= {"file", "sha256"}


def test_scan_takes_it(call: Call, beside: Path, few: Path, tmp_path: Path) -> None:
    """The scan comes as far as with one file, and states the digest of the same content."""
    for name, model in (("two", beside), ("one", commands.DEMO / "clean.onnx")):
        result = call("scan", model, "--samples", few, "--output", tmp_path / name)

        assert result.stdout.startswith("inconclusive  only 20 clean samples")

    digests = {
        json.loads((tmp_path / name / "verdict.json").read_text())["model"]["content_digest"]
        for name in ("one", "two")
    }
    assert len(digests) == 1
