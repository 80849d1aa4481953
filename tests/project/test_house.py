"""The house rules that a program can check: short files, short functions, tests that mirror."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT

LONGEST_FILE, LONGEST_FUNCTION = 400, 50
FOLDERS = ("stages", "pipeline", "mlflow_project", "benchmarks", "tests")
FILES = sorted(
    [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    """Every function in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def test_no_file_is_long() -> None:
    """A file holds one idea: none is longer than a reader can keep in mind."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}

    assert len(FILES) > 200
    assert not {str(each): n for each, n in lengths.items() if n > LONGEST_FILE}


def test_no_function_is_long() -> None:
    """A function has one job: none is longer than a screen, its docstring included."""
    long = {
        f"{path.relative_to(ROOT)}:{each.lineno} {each.name}": each.end_lineno - each.lineno + 1
        for path in FILES
        for each in functions(path)
        if each.end_lineno is not None and each.end_lineno - each.lineno + 1 > LONGEST_FUNCTION
    }

    assert not long


@pytest.mark.parametrize("layer", ["stages", "pipeline", "mlflow_project"])
def test_tests_mirror_the_wings(layer: str) -> None:
    """Every wing with code of its own has a folder of tests of the same name."""
    wings = {path.parent.name for path in (ROOT / layer).glob("*/*.py")}
    tested = {path.parent.name for path in (ROOT / "tests" / layer).glob("*/test_*.py")}

    assert wings <= tested
    assert not {each for each in tested - wings if (ROOT / layer / each).exists()}


def test_tests_import_no_tests() -> None:
    """What tests share stands in `tests/support`."""
    guilty = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and ".test_" in f".{node.module}"
    ]

    assert not guilty
