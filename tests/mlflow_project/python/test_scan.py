"""A scan from a plain script: a live module and a DataLoader in, a verdict out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.places import DEMO

SCRIPT = f"""
import json, sys
import numpy as np, onnx, torch
from torch.utils.data import DataLoader, TensorDataset
from stages.passes import normalise
from stages.twin.convert import build_module
import ban_gate

module = build_module(normalise(onnx.load(r"{DEMO / "patch.onnx"}"))).train()
with np.load(r"{DEMO / "samples.npz"}") as stored:
    images, labels = torch.tensor(stored["images"]), torch.tensor(stored["labels"])

result = ban_gate.scan(module, DataLoader(TensorDataset(images, labels), batch_size=64))

result.save_html("report.html")
print(json.dumps({{
    "verdict": result.verdict,
    "class": result.suspected_class,
    "training": module.training,
    "carried": result.trigger.apply(images.numpy()).shape == tuple(images.shape),
    "mlflow": "mlflow" in sys.modules,
    "shown": repr(result),
}}))
"""


def test_three_lines_lead_to_a_verdict(child: dict[str, str], tmp_path: Path) -> None:
    """Without a guard around the script, and without anything of MLflow."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    done = subprocess.run(
        [sys.executable, str(script)],
        env=child,
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
