"""A script that calls a scan runs once, whatever way it is run: no child imports it again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.places import DEMO, ROOT

SCRIPT = f"""
from pathlib import Path
with open({{note!r}}, "a") as note:
    note.write("ran ")
from pipeline.intake.sandbox import IsolationConfig, isolated
from pipeline.intake.untrusted import describe
described = isolated(IsolationConfig(), describe, Path({str(DEMO / "clean.onnx")!r}))
with open({{note!r}}, "a") as note:
    note.write(str(described.twin.classes))
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("way", ["file", pytest.param("here-document", marks=pytest.mark.nightly)])
def test_a_script_without_a_guard_runs_once(way: str, tmp_path: Path) -> None:
    """No `if __name__ == "__main__"` is needed, in a file or on stdin."""
    note, script = tmp_path / "note.txt", tmp_path / "script.py"
    text = SCRIPT.format(note=str(note))
    script.write_text(text)
    command = {"file": str(script), "here-document": "-"}[way]

    ended = subprocess.run(
        [sys.executable, command],
        input=text if way == "here-document" else None,
        env=ENVIRONMENT,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stderr == ""
    assert note.read_text() == "ran 10"


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_notebook_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell of a Jupyter kernel calls a scan as a script does.

    nbclient leaves the object of its kernel's process to the garbage collector.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    note = tmp_path / "note.txt"
    book = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call] # has no types
        cells=[nbformat.v4.new_code_cell(SCRIPT.format(note=str(note)))]  # type: ignore[no-untyped-call]
    )

    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()

    assert note.read_text() == "ran 10"


def test_onnxruntime_sends_no_telemetry(tmp_path: Path) -> None:
    """It is told so before it is imported: nothing is queued in the user's cache."""
    code = (
        "import os, sys\n"
        "import stages.twin.parity\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'\n"
        "print([each for each in map(os.path.realpath, os.scandir('/proc/self/fd'))"
        " if 'onnxruntime' in each] if sys.platform == 'linux' else [])\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {**ENVIRONMENT, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)

    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout

    assert told == "[]\n"
    assert [each for each in home.rglob("*") if "onnxruntime" in each.name] == []
