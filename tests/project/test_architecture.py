"""The shape of the project itself: one-way imports, where packages lie, and what is pinned."""

from __future__ import annotations

import importlib
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
