"""The pages on exit codes and tags list those that the code has, each once."""

from __future__ import annotations

import ast
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from mlflow_project.cli.exit_codes import EXIT_CODES, OF_SIGNALS, WORST_FIRST
from tests.support.places import ROOT

DOCS = ROOT / "docs"
CODES = re.compile(r"^\| (\d+) \|", re.MULTILINE)
NOT_WRITTEN = {"ban.nothing", "ban.score"}
"""One that is only deleted, to ask for the right to do so, and one of earlier releases."""


def test_every_exit_code_is_listed() -> None:
    """Those of outcomes and of the signals that end a scan; the README has the same."""
    ended = {OF_SIGNALS + each for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    page = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    listed = [int(code) for code in CODES.findall(page)]

    assert listed == sorted({*EXIT_CODES.values(), 1, *ended})
    assert {int(code) for code in CODES.findall(readme)} == {*EXIT_CODES.values()}
    *first, last = map(str, WORST_FIRST)
    assert f"the first of {', '.join(first)} and {last} that" in page


def test_every_tag_is_listed() -> None:
    """Whatever begins with `ban.` and is written to MLflow, and nothing else."""
    page = (DOCS / "tags.md").read_text(encoding="utf-8")
    listed = {re.sub(r"<\w+>", "", each) for each in re.findall(r"`(ban\.[\w.<>]+)`", page)}

    assert listed == _tags_of_the_code() - NOT_WRITTEN


def _tags_of_the_code() -> set[str]:
    return {
        each
        for layer in ("pipeline", "mlflow_project")
        for path in (ROOT / layer).rglob("*.py")
        for each in _texts(path)
        if re.fullmatch(r"ban\.[a-z_.]+", each)
    }


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
