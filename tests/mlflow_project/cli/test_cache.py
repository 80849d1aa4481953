"""`ban-gate cache` shows what is kept, and removes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mlflow_project import commands

Call = Callable[..., Result]


@pytest.fixture
def filled(call: Call, few: Path) -> int:
    """How many results a scan left."""
    assert call("scan", commands.DEMO / "clean.onnx", "--samples", few).exit_code == 3
    results: int = json.loads(call("cache", "--json").stdout)["results"]
    assert results > 0
    return results


def test_it_shows_stages_and_sizes(call: Call, filled: int, tmp_path: Path) -> None:
    """As lines and as JSON."""
    document = json.loads(call("cache", "--json").stdout)
    lines = call("cache").stdout.splitlines()

    assert lines[0].startswith(f"{tmp_path / 'home' / 'cache'}: {filled} results, ")
    assert sum(each["results"] for each in document["stages"].values()) == filled
    assert document["removed"] == {"results": 0, "bytes": 0}
    assert "check_preconditions" in document["stages"]


def test_it_is_limited_and_cleared(call: Call, filled: int) -> None:
    """What went is told."""
    limited = json.loads(call("cache", "--max-size", "1GB", "--json").stdout)
    cleared = json.loads(call("cache", "--clear", "--json").stdout)

    assert limited["results"] == filled
    assert cleared["results"] == cleared["bytes"] == 0
    assert cleared["removed"]["results"] == filled


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--max-size", "3x"], "'3x' is no size, expected one such as 500MB"),
        (["--max-size", "1GB", "--clear"], "not both"),
    ],
)
def test_wrong_options_remove_nothing(
    call: Call, filled: int, arguments: list[str], told: str
) -> None:
    """Exit 2, one sentence."""
    result = call("cache", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr
    assert json.loads(call("cache", "--json").stdout)["results"] == filled
