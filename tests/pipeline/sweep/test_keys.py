"""The same bytes have the same key; whatever could change a verdict changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.sweep.keys import job_key, model_digest, path_digest

MLMODEL = """artifact_path: model
flavors:
  onnx:
    data: model.onnx
    onnx_version: 1.20.0
model_id: {id}
run_id: {id}
utc_time_created: '{time}'
"""


def logged(folder: Path, number: int, model: bytes = b"weights") -> Path:
    """A folder as MLflow writes it."""
    folder.mkdir()
    (folder / "MLmodel").write_text(MLMODEL.format(id=f"m-{number}", time=f"2026-01-0{number}"))
    (folder / "model.onnx").write_bytes(model)
    return folder


def test_when_a_model_was_logged_does_not_count(tmp_path: Path) -> None:
    """Nor by which run; nor what MLflow adds to a download."""
    one, two = logged(tmp_path / "one", 1), logged(tmp_path / "two", 2)
    (two / "registered_model_meta").write_text("model_name: net\n")

    assert model_digest(one) == model_digest(two)
    assert path_digest(one) != path_digest(two)


@pytest.mark.parametrize("change", ["weights", "flavour", "file", "link", "unreadable"])
def test_whatever_is_served_counts(tmp_path: Path, change: str) -> None:
    """The weights, what MLmodel says of loading, and every other file."""
    one, two = logged(tmp_path / "one", 1), logged(tmp_path / "two", 1)
    match change:
        case "weights":
            (two / "model.onnx").write_bytes(b"others")
        case "flavour":
            text = (two / "MLmodel").read_text()
            (two / "MLmodel").write_text(text.replace("model.onnx", "other.onnx"))
        case "file":
            (two / "code.py").write_text("")
        case "link":
            (two / "more.onnx").symlink_to(two / "model.onnx")
        case "unreadable":
            (two / "MLmodel").write_text(": [")

    assert model_digest(one) != model_digest(two)


def test_a_file_is_its_bytes(tmp_path: Path) -> None:
    """Whatever it is called."""
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"same")

    assert model_digest(tmp_path / "a.onnx") == model_digest(tmp_path / "b.onnx")


def test_a_key_depends_on_all_of_it() -> None:
    """Model, samples, and whatever else is named."""
    keys = {
        job_key("m", "s", {"settings": "1"}),
        job_key("n", "s", {"settings": "1"}),
        job_key("m", "t", {"settings": "1"}),
        job_key("m", "s", {"settings": "2"}),
    }

    assert len(keys) == 4
    assert job_key("m", "s", {"a": 1, "b": 2}) == job_key("m", "s", {"b": 2, "a": 1})
