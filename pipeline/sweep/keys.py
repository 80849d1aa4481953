"""What the verdict on a version depends on, as one digest: the same bytes are judged once.

MLflow writes into `MLmodel` when and by which run a model was logged, so that no two of them are
equal; these statements do not count, as nothing is served from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.file_digest import file_digest
from stages.errors import CannotJudge
from stages.export.mlmodel_file import FILE, read_mlmodel

LOGGED = ("run_id", "utc_time_created", "model_uuid", "model_id", "artifact_path", "mlflow_version")
"""Statements of `MLmodel` about when and where a model was logged."""
WRITTEN_BESIDE = ("registered_model_meta",)
"""Files that MLflow writes when a model is downloaded."""


def path_digest(path: Path) -> str:
    """The sha256 of a file, or of all files in a folder with their names.

    Raises:
        OSError: something cannot be read.
    """
    if not path.is_dir():
        return file_digest(path)
    files = {
        each.relative_to(path).as_posix(): file_digest(each)
        for each in sorted(path.rglob("*"))
        if each.is_file()
    }
    return digest_of(files)


def model_digest(path: Path) -> str:
    """The digest of a model's file or folder, but for when and where MLflow logged it.

    Raises:
        OSError: something cannot be read.
    """
    if not path.is_dir():
        return file_digest(path)
    files = {
        each.relative_to(path).as_posix(): _file(each)
        for each in sorted(path.rglob("*"))
        if not each.is_dir() and each.name not in WRITTEN_BESIDE
    }
    return digest_of(files)


def digest_of(facts: object) -> str:
    """The sha256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def job_key(model: str, samples: str, facts: Mapping[str, object]) -> str:
    """The key of one scan: the digests of model and samples, and whatever else affects it."""
    return digest_of({"model": model, "samples": samples, **facts})[:40]


def _file(path: Path) -> str:
    if path.name == FILE:
        try:
            stated = read_mlmodel(path.parent)
            kept = {name: each for name, each in stated.items() if name not in LOGGED}
            return digest_of(json.loads(json.dumps(kept, default=str)))
        except (CannotJudge, ValueError, RecursionError):  # the scan will say what is wrong
            return file_digest(path)
    if path.is_symlink():
        return digest_of(["link", str(path.readlink())])
    return file_digest(path)
