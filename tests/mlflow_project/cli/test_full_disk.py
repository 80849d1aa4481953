"""A disk without room, real and small: one sentence that names the place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.demo_samples import TOO_FEW, save_samples
from tests.support.places import DEMO, ROOT

CAGE = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c"]
MOUNT = 'mount -t tmpfs -o size=$0 none full && exec "$@"'


@pytest.mark.parametrize(
    ("where", "size"),
    [("output", "64k"), pytest.param("temporary files", "4k", marks=pytest.mark.nightly)],
)
def test_a_full_disk_is_one_sentence(where: str, size: str, tmp_path: Path) -> None:
    """Exit 2, and what lies there is whole or not at all."""
    (tmp_path / "full").mkdir()
    few = save_samples(tmp_path / "few.npz", TOO_FEW)
    scan = [sys.executable, "-m", "mlflow_project", "scan", str(DEMO / "clean.onnx")]
    scan += ["--samples", str(few), "--output", "full/out" if where == "output" else "out"]
    settings = {"PYTHONPATH": str(ROOT), "BAN_GATE_HOME": str(tmp_path / "home")}
    settings["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path / 'm.db'}"
    if where == "temporary files":
        settings["TMPDIR"] = str(tmp_path / "full")
    if subprocess.run([*CAGE, MOUNT, size, "true"], cwd=tmp_path, check=False).returncode:
        pytest.skip("this kernel lets nobody mount a disk of his own")

    done = subprocess.run(
        [*CAGE, f"{MOUNT}; code=$?; ls full/out >&2; exit $code".replace("exec ", ""), size, *scan],
        cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2, done.stderr
    assert "full" in done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert ".draft" not in done.stderr
