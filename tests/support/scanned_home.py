"""A home of ban-gate in which demo models were scanned, for tests of what comes after a scan."""

from __future__ import annotations

import io
import shutil
import tarfile
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow_project.home import CACHE, SECRET
from pipeline.atomic_files import place_secret
from pipeline.cache.store import Store
from pipeline.request import ScanRequest
from pipeline.scan import scan
from tests.support.once import made
from tests.support.places import DEMO

KNOWN = bytes(range(32))
"""The secret of every such home."""


def scanned_home(folder: Path, *models: str) -> Path:
    """A new home in a folder, with what usual scans of the models have left, each made once in a
    run.
    """
    home = folder / "scanned-home"
    home.mkdir(parents=True)
    place_secret(home / SECRET, KNOWN)
    for model in models:
        packed = made(f"scanned-{model}.tar", partial(_scanned, model))
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(home / CACHE, filter="data")
    return home


def scanned_store(folder: Path, *models: str) -> Store:
    """The store of such a home."""
    return Store(scanned_home(folder, *models) / CACHE, secret=KNOWN)


def _scanned(model: str) -> bytes:
    """The packed cache that a scan of the model leaves."""
    path = DEMO / f"{model}.onnx"
    with TemporaryDirectory() as name:
        cache, workspace = Path(name, CACHE), Path(name, "workspace")
        workspace.mkdir()
        request = ScanRequest(model=str(path), samples=DEMO / "samples.npz", uri=path.name)
        scan(request, Store(cache, secret=KNOWN), workspace)
        return Path(shutil.make_archive(str(Path(name, "packed")), "tar", cache)).read_bytes()
