"""The wheel, installed in an environment of its own: one line to a verdict, and types."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import ban_gate
from tests.support.pictures import save_digits
from tests.support.places import DEMO, ROOT

SHIPPED = ("ban_gate.py", "ban_gate-stubs", "stages", "pipeline", "mlflow_project")
TYPED = """
import numpy as np
from torch import nn
from torch.utils.data import DataLoader
import ban_gate

result = ban_gate.scan("model.onnx", np.zeros((3, 1, 8, 8), np.float32), np.zeros(3, np.int64))
reveal_type(ban_gate.scan)
reveal_type(result)
reveal_type(result.verdict)
reveal_type(result.p_value)
reveal_type(result.suspected_class)
reveal_type(result.trigger)
reveal_type(result.to_dict())
if result.trigger:
    reveal_type(result.trigger.apply(np.zeros((3, 1, 8, 8), np.float32)))
reveal_type(ban_gate.calibrate(["a.onnx"], "clean.npz").models)
reveal_type(ban_gate.gate("models:/net/1", "clean.npz").passed)
reveal_type(ban_gate.verify("models:/net/1").reasons)


def live(module: nn.Module, loader: "DataLoader[tuple[object, object]]") -> ban_gate.Result:
    return ban_gate.scan(module, loader)


ban_gate.scan("model.onnx", "clean.npz", sead=1)
ban_gate.scan("model.onnx", "clean.npz", device="tpu")
result.verdcit
"""


def install_wheel(folder: Path) -> Path:
    """An interpreter with the wheel, beside the packages of this one that it depends on."""
    source, place = folder / "source", folder / "environment"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", *SHIPPED):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    subprocess.run([*pip, *build], check=True)
    shutil.rmtree(source)  # what runs is what was installed
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    install = ("--python", python, "install", "--no-deps", "--no-index", wheel)
    subprocess.run([*pip, *install], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One such environment for this file."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))


def clean(folder: Path) -> dict[str, str]:
    """The variables of a process that finds nothing of this checkout."""
    gone = ("MLFLOW_", "PYTHONPATH", "BAN_GATE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(gone)}
    return {**kept, "BAN_GATE_HOME": str(folder / "home"), "MYPY_CACHE_DIR": str(folder / "mypy")}


def names(path: Path) -> list[str]:
    """Every import of a module, and its `__all__`, as code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        ast.unparse(each) for each in tree.body if isinstance(each, ast.ImportFrom | ast.Assign)
    ]


def test_the_stub_says_what_the_module_says() -> None:
    """A single module is typed by a package of stubs alone, which must not fall behind."""
    assert names(ROOT / "ban_gate-stubs" / "__init__.pyi") == names(ROOT / "ban_gate.py")


def test_every_public_name_is_there() -> None:
    """And has a docstring."""
    assert [each for each in ban_gate.__all__ if not getattr(ban_gate, each).__doc__] == []


@pytest.mark.nightly
def test_mypy_sees_the_types_of_an_installed_wheel(python: Path, tmp_path: Path) -> None:
    """Strictly: of arguments, results and triggers, and that a wrong name or value is an error."""
    (tmp_path / "script.py").write_text(TYPED)

    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "script.py"],
        env=clean(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    ).stdout

    revealed = [
        line.partition('"')[2].rpartition('"')[0]
        for line in told.splitlines()
        if "note: Rev" in line
    ]
    errors = [line for line in told.splitlines() if "error:" in line]
    assert len(errors) == 3, told
    assert 'Unexpected keyword argument "sead"' in errors[0]
    assert "\"Literal['tpu']\"; expected \"Literal['auto', 'cpu', 'cuda']\"" in errors[1]
    assert '"Result" has no attribute "verdcit"; maybe "verdict"?' in errors[2]
    signature, result, verdict, p_value, number, trigger, document, applied, *rest = revealed
    assert "trust_model_code: bool" in signature
    assert result == "mlflow_project.python.result.Result"
    assert verdict == "Literal['clean'] | Literal['backdoored'] | Literal['inconclusive']"
    assert (p_value, number, document) == ("float | None", "int | None", "dict[str, object]")
    assert trigger == "mlflow_project.python.trigger.Trigger | None"
    assert applied.startswith("numpy.ndarray[")
    assert rest == ["tuple[str, ...]", "bool", "tuple[str, ...]"]


@pytest.mark.nightly
def test_one_line_leads_from_pictures_to_a_verdict(python: Path, tmp_path: Path) -> None:
    """300 PNG files in class folders, an ONNX file, and nothing else."""
    save_digits(tmp_path / "pictures", 300)
    shutil.copy(DEMO / "patch.onnx", tmp_path / "model.onnx")

    done = subprocess.run(
        [python.parent / "ban-gate", "scan", "model.onnx", "--samples", "pictures"],
        env=clean(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("backdoored ")
    assert "class 4 (digit-4)" in done.stdout
