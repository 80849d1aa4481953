"""The shape of the project itself: one-way imports, where packages lie, and what is pinned."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

from tests.support.places import ROOT

PACKAGES = ("stages", "pipeline", "mlflow_project")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_imports_go_one_way() -> None:
    """Every import contract holds."""
    checker = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run([checker], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_those_of_this_checkout(package: str) -> None:
    """Their generic names could be somebody else's; the files imported are ours."""
    module = importlib.import_module(package)

    assert module.__file__ == str(ROOT / package / "__init__.py")


def test_every_subpackage_is_installed() -> None:
    """Packages are found by name: each folder of code is one, and no tests or benchmarks are."""
    wanted = {
        ".".join(place.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for place in (ROOT / package).rglob("*.py")
    }

    found = find_packages(str(ROOT), **SETTINGS["tool"]["setuptools"]["packages"]["find"])

    assert set(found) == wanted


def test_conda_and_pip_install_the_same() -> None:
    """`conda.yaml` asks for exactly what the distribution depends on, in the pinned versions."""
    text = (ROOT / "conda.yaml").read_text()
    asked = re.findall(r"^      - (?!-c)(.+)$", text, flags=re.MULTILINE)

    assert sorted(asked) == sorted(SETTINGS["project"]["dependencies"])
    assert "-c constraints.txt" in text


def test_every_dependency_is_pinned() -> None:
    """Each direct dependency has its version in the constraints file."""
    lines = (ROOT / "constraints.txt").read_text().replace("_", "-")
    pinned = set(re.findall(r"^([\w-]+)==", lines, re.MULTILINE))
    groups = [SETTINGS["project"]["dependencies"]]
    groups += SETTINGS["project"]["optional-dependencies"].values()
    names = {re.split(r"[^\w-]", each)[0] for group in groups for each in group} - {"ban-gate"}

    # the plain package stands in where onnxruntime-gpu has no wheels
    assert names - pinned <= {"onnxruntime"}
