"""How tests call a command, and what they call it with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlflow_project.cli import main as cli
from tests.support.demo_samples import TOO_FEW, save_samples

Call = Callable[..., Result]


@pytest.fixture
def call(sqlite_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs a command in this process, with its store of results in the test's folder."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(cli.main, [str(each) for each in arguments])

    return run


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Too few clean samples for a verdict: a scan with them is inconclusive and quick."""
    return save_samples(tmp_path / "few.npz", TOO_FEW)


@pytest.fixture
def trial(tmp_path: Path) -> dict[str, Path]:
    """Things a caller may give by mistake."""
    paths = {"folder": tmp_path / "folder", "text": tmp_path / "note.txt"}
    paths["folder"].mkdir()
    paths["text"].write_text("not what you think")
    return paths | {"missing": tmp_path / "missing", "under": paths["text"] / "out"}
