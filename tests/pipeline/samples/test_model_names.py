"""Names are read where models state them, and must be as many as there are classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.samples.model_names import names_in_file, names_in_model
from stages.errors import ConfigError
from stages.types import OnnxArtifact

NAMES = ("ant", "bee", "cat", "dog", "eel")


@pytest.fixture
def artifact(make_artifact: Callable[..., OnnxArtifact]) -> OnnxArtifact:
    """A model of 5 classes."""
    return make_artifact()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", json.dumps({"id2label": dict(enumerate(NAMES))})),
        ("MLmodel", f"flavors: {{}}\nmetadata:\n  class_names: {list(NAMES)}\n"),
    ],
)
def test_files_beside_the_model_name_its_classes(
    artifact: OnnxArtifact, tmp_path: Path, name: str, text: str
) -> None:
    """Those of transformers and of MLflow."""
    (tmp_path / name).write_text(text)

    assert names_in_model(artifact, tmp_path) == NAMES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", "[" * 100_000),
        ("config.json", "[1, 2]"),
        ("config.json", json.dumps({"id2label": {"0": "ant"}})),
        ("config.json", json.dumps({"id2label": {str(i): f"LABEL_{i}" for i in range(5)}})),
        ("MLmodel", "!!python/object/apply:os.system ['true']"),
        ("MLmodel", "metadata: 3"),
    ],
)
def test_what_names_no_classes_is_passed_over(
    artifact: OnnxArtifact, tmp_path: Path, name: str, text: str
) -> None:
    """Damage, other files of the same name, another number, and placeholders."""
    (tmp_path / name).write_text(text)

    assert names_in_model(artifact, tmp_path) == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "\n".join(NAMES)),
        ("names.txt", "\ufeff" + "\r\n".join(NAMES) + "\r\n"),
        ("names.json", json.dumps(NAMES)),
        ("names.json", json.dumps(dict(enumerate(NAMES)))),
        ("config.json", json.dumps({"model_type": "vit", "id2label": dict(enumerate(NAMES))})),
        ("labels.json", json.dumps({"label2id": {name: i for i, name in enumerate(NAMES)}})),
    ],
)
def test_a_file_of_names_has_any_usual_form(tmp_path: Path, name: str, text: str) -> None:
    """One a line, a list, and the two mappings of transformers."""
    (tmp_path / name).write_text(text)

    assert names_in_file(tmp_path / name, 5) == NAMES


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("names.txt", "ant\nbee\n", "has 2 class names, the model has 5 classes"),
        ("names.txt", "", "has 0 class names"),
        ("names.json", "{", "cannot be read"),
        ("names.json", '{"a": {"b": 1}}', "has 0 class names"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    """The user named it, so it is not passed over."""
    (tmp_path / name).write_text(text)

    with pytest.raises(ConfigError, match=words):
        names_in_file(tmp_path / name, 5)
