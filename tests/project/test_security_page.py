"""What was tried against a pass is told on a page that names a test for each of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.support.places import ROOT

TESTS = ROOT / "tests"
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", PAGE, flags=re.MULTILINE)


def test_every_threat_has_a_row() -> None:
    """Numbered without a gap, so that none was lost."""
    assert [int(number) for number, *_ in ROWS] == list(range(1, len(ROWS) + 1))
    assert len(ROWS) >= 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"row {row[0]}")
def test_every_row_names_tests_that_there_are(row: tuple[str, str, str, str]) -> None:
    """Each file holds some that run with every change, and each command is a module of its own."""
    named = re.findall("`([^`]+)`", row[3])

    assert any(each.endswith(".py") for each in named), "a test, not a command alone"
    for each in named:
        if each.startswith("python -m "):
            assert find_spec(each.removeprefix("python -m "))
        else:
            assert list(_tests_in(each)), each


def test_the_rest_of_the_page_and_the_policy_for_reports_name_what_there_is() -> None:
    """Links of both lead to files, and the policy says what is in scope and what is not."""
    for text, place in ((PAGE, ROOT / "docs"), (SECURITY, ROOT)):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (place / link).exists(), link
    assert "## In scope" in SECURITY
    assert "## Out of scope" in SECURITY


def _tests_in(path: str) -> Iterator[str]:
    """The tests in a file that are run by default: not those that wait for the night."""
    for node in ast.walk(ast.parse((TESTS / path).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        if not any("nightly" in ast.unparse(mark) for mark in node.decorator_list):
            yield node.name
