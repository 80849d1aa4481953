"""What is built to be handed on can be installed elsewhere, and runs there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from setuptools import build_meta

from tests.support.places import ROOT

LAYERS = ("stages", "pipeline", "mlflow_project")
PROGRAM = """
from pathlib import Path
import ban_gate, mlflow_project
print(ban_gate.__file__)
print(*(path.name for path in Path(mlflow_project.__path__[0], "demo").iterdir()))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of the files that are under version control, and the wheel made from it alone."""
    folder = tmp_path_factory.mktemp("built")
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    source = folder / "source"
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    sdist = _build("sdist", source, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return sdist, _build("wheel", unpacked, folder)


def _build(kind: str, source: Path, folder: Path) -> Path:
    """A distribution, by the backend that pyproject.toml names, in a process of its own."""
    code = f"from {build_meta.__name__} import build_{kind}; build_{kind}({str(folder)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return found


@pytest.fixture(scope="module")
def elsewhere(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel, beside the packages of this one that it needs."""
    place = tmp_path_factory.mktemp("elsewhere") / "environment"
    venv.create(place, with_pip=False)
    pip = (sys.executable, "-m", "pip", "--python", place / "bin" / "python", "--quiet")
    options = ("--no-deps", "--no-index", "--disable-pip-version-check")
    subprocess.run([*pip, "install", *options, built[1]], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return place


def _outside(folder: Path) -> dict[str, str]:
    """The variables of a process that finds nothing of this checkout."""
    kept = {name: each for name, each in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"BAN_GATE_HOME": str(folder / "home")}


def test_a_wheel_made_from_the_sdist_lacks_nothing(built: tuple[Path, Path]) -> None:
    """Every module, and the files that they read; no tests, no pages."""
    with zipfile.ZipFile(built[1]) as wheel:
        shipped = set(wheel.namelist())

    data = {"mlflow_project/demo/samples.npz", "stages/verdict/calibration.toml"}
    modules = {
        path.relative_to(ROOT).as_posix()
        for layer in LAYERS
        for path in (ROOT / layer).rglob("*.py")
    }
    pages = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("pipeline/*/html/*")}
    assert len(modules) > 200
    assert {*modules, *data, *(each for each in pages if not each.endswith(".pyc"))} <= shipped
    assert not {each for each in shipped if each.startswith(("tests/", "docs/", "benchmarks/"))}


def test_it_runs_elsewhere(elsewhere: Path, tmp_path: Path) -> None:
    """The command and the module, from the environment itself and not from this checkout."""
    version = subprocess.run(
        [elsewhere / "bin" / "ban-gate", "--version"],
        cwd=tmp_path,
        env=_outside(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    program = subprocess.run(
        [elsewhere / "bin" / "python", "-c", PROGRAM],
        cwd=tmp_path,
        env=_outside(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert version.returncode == 0, version.stderr
    assert version.stdout.startswith("ban-gate ")
    assert f" from {elsewhere}" in version.stdout
    assert program.returncode == 0, program.stderr
    assert program.stdout.startswith(str(elsewhere))
    assert "samples.npz" in program.stdout


@pytest.mark.nightly
def test_it_judges_elsewhere(elsewhere: Path, tmp_path: Path) -> None:
    """The demo ends as it should."""
    done = subprocess.run(
        [elsewhere / "bin" / "ban-gate", "demo"],
        cwd=tmp_path,
        env=_outside(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("truth:") == 3
