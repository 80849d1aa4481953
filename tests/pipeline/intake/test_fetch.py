"""Laws of fetching an ONNX model: one whole file arrives, and nothing is taken from elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
import pytest

from pipeline.intake.fetch import fetch
from pipeline.intake.native import NativeModel
from pipeline.intake.sandbox import IsolationConfig, Sandbox
from pipeline.intake.settings import ExportConfig
from stages.errors import ModelRefused
from stages.export.detect import find_source
from stages.onnx_file.inspection import inspect_onnx
from stages.types import OnnxArtifact
from tests.support.tiny_model import tiny

LIMITS = IsolationConfig(seconds=60, memory_mb=1024)


def beside(folder: Path) -> Path:
    """A model with its weights in a file beside it, named as torch names them."""
    folder.mkdir()
    path = folder / "m.onnx"
    onnx.save_model(
        *(tiny(), path), save_as_external_data=True, location="m.onnx.data", size_threshold=0
    )
    return path


def fetched(model: Path, workspace: Path) -> OnnxArtifact:
    """The artifact of the file that a scan fetches into a new folder."""
    workspace.mkdir()
    source = NativeModel(source=find_source(str(model)))
    file = fetch(
        source, workspace, trusted=False, config=ExportConfig(), sandbox=Sandbox(limits=LIMITS)
    ).path
    assert list(workspace.iterdir()) == [file]
    return inspect_onnx(file)


def test_a_model_in_one_file_arrives_byte_for_byte(tmp_path: Path) -> None:
    """Its digest is that of the file the user has."""
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny().SerializeToString())

    artifact = fetched(path, tmp_path / "workspace")

    assert artifact.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_beside_a_lone_file_arrive_with_it(tmp_path: Path) -> None:
    """As `torch.onnx.export` writes them: the model is that with its weights inside."""
    path, whole = beside(tmp_path / "folder"), tmp_path / "whole.onnx"
    whole.write_bytes(tiny().SerializeToString())

    artifact = fetched(path, tmp_path / "workspace")

    assert artifact.content_digest == inspect_onnx(whole).content_digest


def test_both_digests_cover_the_weights_beside_the_file(tmp_path: Path) -> None:
    """One changed byte of the data changes both; unchanged data gives the same ones again."""
    path = beside(tmp_path / "folder")
    first, again = (fetched(path, tmp_path / name) for name in ("first", "again"))
    data = path.parent / "m.onnx.data"
    data.write_bytes(data.read_bytes()[:-1] + b"\x40")

    other = fetched(path, tmp_path / "other")

    assert (first.digest, first.content_digest) == (again.digest, again.content_digest)
    assert first.digest != other.digest
    assert first.content_digest != other.content_digest


def test_a_link_to_a_model_finds_its_weights(tmp_path: Path) -> None:
    """The model's own folder is that of the file, wherever a link to it lies."""
    link = tmp_path / "link.onnx"
    link.symlink_to(beside(tmp_path / "folder"))

    assert fetched(link, tmp_path / "workspace").parameters == 128


def test_weights_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    """A model that was moved without its data names the file to copy, and leaves nothing."""
    path = beside(tmp_path / "folder")
    (path.parent / "m.onnx.data").unlink()

    with pytest.raises(ModelRefused, match=r"stored in 'm\.onnx\.data', .*; copy it there, or"):
        fetched(path, tmp_path / "workspace")

    assert list((tmp_path / "workspace").iterdir()) == []


def test_a_lone_file_reads_no_other_folder(tmp_path: Path) -> None:
    """A link beside the model that leads elsewhere is refused like a path that does."""
    path = beside(tmp_path / "folder")
    data = path.parent / "m.onnx.data"
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ModelRefused, match="expected a plain file beside the model"):
        fetched(path, tmp_path / "workspace")
