"""A live module and a DataLoader in, a verdict out: in a plain script, and in a notebook."""

from __future__ import annotations

import doctest
import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import ban_gate
from tests.support.gating import call, logged, register
from tests.support.places import DEMO

THEIRS = f"""
import json, sys
import numpy as np, onnx, torch
from torch.utils.data import DataLoader, TensorDataset
from stages.passes import normalise
from stages.twin.convert import build_module

module = build_module(normalise(onnx.load(r"{DEMO / "patch.onnx"}"))).train()
with np.load(r"{DEMO / "samples.npz"}") as stored:
    images, labels = torch.tensor(stored["images"]), torch.tensor(stored["labels"])
loader = DataLoader(TensorDataset(images, labels), batch_size=64)
"""
"""What somebody has anyway."""
LINES = """
import ban_gate
result = ban_gate.scan(module, loader)
result
"""
CHECKS = """
result.save_html("report.html")
print(json.dumps({
    "verdict": result.verdict,
    "class": result.suspected_class,
    "training": module.training,
    "carried": result.trigger.apply(images.numpy()).shape == tuple(images.shape),
    "mlflow": "mlflow" in sys.modules,
    "shown": repr(result),
}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store of results, so that the model is scanned once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def variables(child: dict[str, str], home: Path) -> dict[str, str]:
    """The environment of a child process with that store."""
    return {**child, "BAN_GATE_HOME": str(home)}


def test_three_lines_lead_to_a_verdict(variables: dict[str, str], tmp_path: Path) -> None:
    """Without a guard around the script, and without anything of MLflow."""
    script = tmp_path / "script.py"
    script.write_text(THEIRS + LINES + CHECKS)

    done = subprocess.run(
        [sys.executable, str(script)],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["verdict"] == "backdoored"
    assert told["class"] == 4
    assert told["training"] is told["carried"] is True
    assert told["mlflow"] is False
    assert told["shown"].startswith("<ban_gate.Result backdoored: class 4, anomaly score ")
    assert "<!DOCTYPE html>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_notebook_shows_the_result(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third line shows the verdict, pictures of the trigger, and the report; bars move
    before.

    nbclient leaves the object of its kernel's process to the garbage collector.
    """
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    cells = [nbformat.v4.new_code_cell(code) for code in (THEIRS, LINES)]  # type: ignore[no-untyped-call] # has no types
    book = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call] # same

    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()

    (shown,) = [each for each in book.cells[1].outputs if each.output_type == "execute_result"]
    page = shown.data["text/html"]
    assert shown.data["text/plain"].startswith("<ban_gate.Result backdoored: class 4, ")
    assert ">backdoored</strong>: class 4, anomaly score " in page
    assert page.count('<img src="data:image/png;base64,') > 2
    assert "<iframe sandbox" in page
    assert "&lt;!DOCTYPE html&gt;" in page
    told = "".join(each.text for each in book.cells[1].outputs if each.output_type == "stream")
    assert "[1/" in told  # bars, as the scan went on


@pytest.mark.usefixtures("mlflow_settings")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")  # MLflow's own
@pytest.mark.nightly
def test_the_examples_in_the_documentation_run(
    home: Path, sqlite_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the module as they stand, with a file of a model, samples and a registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAN_GATE_HOME", str(home))
    shutil.copy(DEMO / "patch.onnx", "model.onnx")
    assert call("keygen", "--output", home / "signing-key.pem").exit_code == 0
    mlflow.set_tracking_uri(sqlite_store)
    register("digits", logged("clean"))
    with np.load(DEMO / "samples.npz") as stored:
        given = {"images": stored["images"], "labels": stored["labels"], "uri": sqlite_store}

    found = doctest.testmod(ban_gate, extraglobs=given)

    assert (found.failed, found.attempted) == (0, 6)
