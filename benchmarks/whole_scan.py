"""A whole scan as people do it, and what it took.

Through the command line with its default settings, in a process of its own, without anything
remembered.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

HERE = Path(__file__).parents[1]
"""The tree of files that this code is of."""
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
PAIR = (FILE, FILE)
"""The type of an option for a model, and its samples."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A file, its samples, and the class that its trigger leads to, if that is known: −1 if it is
    clean.
    """

    name: str
    path: Path
    samples: Path
    target: int | None = None


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What a scan said, its seconds of the processor, its `elapsed` ones by the clock, and its peak
    memory in MiB.
    """

    verdict: str | None
    suspected: int | None
    score: float | None
    seconds: float
    elapsed: float | None = None
    peak: float


def scan(model: Model, tree: Path, folder: Path, threads: int = 1) -> Scanned:
    """What the command line of a tree of files says of a model; a log and what it writes are left
    in the folder.
    """
    command = [sys.executable, "-m", "mlflow_project", "scan", str(model.path.absolute())]
    command += ["--samples", str(model.samples.absolute()), "--output", str(folder)]
    alone = {
        "PYTHONPATH": str(tree),
        "OMP_NUM_THREADS": str(threads),
        "BAN_GATE_HOME": str(folder / "home"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    began = time.perf_counter()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **alone}, cwd=folder
        )
        _, _, used = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - began
    said = json.loads(text.read_text()) if (text := folder / "verdict.json").exists() else {}
    return Scanned(
        verdict=said.get("verdict"),
        suspected=said.get("suspected_class"),
        score=said.get("anomaly_score", said.get("score")),
        seconds=used.ru_utime + used.ru_stime,
        elapsed=elapsed,
        peak=used.ru_maxrss / 1024,
    )
