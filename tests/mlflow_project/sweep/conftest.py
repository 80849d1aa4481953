"""Folders of models for sweeps, whose scans end early: what is judged of them takes seconds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.places import DEMO
from tests.support.sweeps import call

EARLY = ("--set", "precondition.min_samples=100000")
"""Settings with which no scan comes to its searches."""
SAMPLES = ("--samples", DEMO / "samples.npz")

Planned = Callable[..., Path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in for a whole file of tests, and a home of ban-gate's own."""
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAN_GATE_HOME", str(folder / "home"))
        patch.chdir(folder / "work")
        yield folder


@pytest.fixture(scope="module")
def swept(place: Path) -> tuple[Path, Result]:
    """A finished sweep, and how it ended: a model, a copy of it, and a file that is none."""
    models = place / "models"
    (models / "team").mkdir(parents=True)
    shutil.copy(DEMO / "clean.onnx", models)
    shutil.copy(DEMO / "clean.onnx", models / "team" / "copy.onnx")
    (models / "broken.onnx").write_text("this is no model")
    folder = place / "swept"
    planned = call("plan", models, "-o", folder, *SAMPLES, *EARLY)
    assert planned.exit_code == 0, planned.output
    return folder, call("run", folder, "--workers", 2)


@pytest.fixture
def planned(place: Path, tmp_path: Path) -> Planned:
    """Plans a sweep of files that are no models, by their names, and returns its folder."""
    assert place

    def plan(names: tuple[str, ...], *options: object) -> Path:
        models = tmp_path / "models"
        models.mkdir()
        for name in names:
            (models / f"{name}.onnx").write_text(f"{name} is no model")
        done = call("plan", models, "-o", tmp_path / "sweep", *SAMPLES, *options)
        assert done.exit_code == 0, done.output
        return tmp_path / "sweep"

    return plan
