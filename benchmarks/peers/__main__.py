"""Runs the peers on a zoo: one file per model and method; may be stopped and started again.

`python -m benchmarks.peers --zoo FOLDER` measures what is missing, the quick methods first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch

from benchmarks.peers import Finding, ban, bti_dbf, mm_bd, neural_cleanse
from benchmarks.profiles import SAMPLES, counted, some_samples
from pipeline.atomic_files import write_text
from pipeline.cache.store import Store
from pipeline.intake.sandbox import Sandbox
from pipeline.peak import peak_rss_mb
from pipeline.prepare import prepare
from pipeline.request import ScanRequest
from stages.types import CleanSamples, TorchTwin

Peer = Callable[[TorchTwin, CleanSamples, int], Finding]
PEERS: dict[str, Peer] = {
    "mm-bd": lambda twin, samples, seed: mm_bd.find(twin, samples, mm_bd.Config(), seed),
    "ban": lambda twin, samples, seed: ban.find(twin, samples, ban.Config(), seed),
    "neural-cleanse": lambda twin, samples, seed: neural_cleanse.find(
        twin, samples, neural_cleanse.Config(), seed
    ),
    "bti-dbf": lambda twin, samples, seed: bti_dbf.find(twin, samples, bti_dbf.Config(), seed),
}


def place_of(zoo: Path, method: str, name: str) -> Path:
    """Where a peer's finding lies."""
    return zoo / "peers" / method / f"{name}.json"


def measure(zoo: Path, method: str, name: str, task: str, seed: int) -> None:
    """Runs one peer on one model and keeps what it finds.

    BAN gets the model with BatchNorm kept, its best case.
    """
    place = place_of(zoo, method, name)
    if place.exists():
        return
    folder = zoo / "batchnorm" if method == "ban" else zoo
    twin, samples = _prepared(folder / f"{name}.onnx", zoo / f"{task}.npz")
    started = time.perf_counter()
    found = PEERS[method](twin, samples, seed)
    entry = {
        "per_class": found.per_class.tolist(),
        "score": found.score,
        "suspected_class": found.suspected_class,
        "seconds": time.perf_counter() - started,
        "peak_rss_mb": peak_rss_mb(),
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    write_text(place, json.dumps(entry))


def _prepared(model: Path, samples: Path) -> tuple[TorchTwin, CleanSamples]:
    with TemporaryDirectory() as folder:
        clean = some_samples(samples, SAMPLES, Path(folder))
        request = ScanRequest(model=str(model), samples=clean, uri=model.name)
        cage = Sandbox(limits=request.config.isolation)
        prepared = prepare(request, Store(None), torch.device("cpu"), Path(folder), cage)
    return prepared.twin, prepared.samples


@click.command()
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--method", "methods", type=click.Choice(list(PEERS)), multiple=True)
@click.option("--task", "tasks", multiple=True, help="Only models of these tasks.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=int, default=1, show_default=True)
def main(
    zoo: Path, methods: tuple[str, ...], tasks: tuple[str, ...], seed: int, threads: int
) -> None:
    """Run the peers on the models of ZOO."""
    torch.set_num_threads(threads)
    truths = [each for each in counted(zoo) if not tasks or each["task"] in tasks]
    for method in methods or tuple(PEERS):
        for truth in truths:
            measure(zoo, method, str(truth["name"]), str(truth["task"]), seed)
            click.echo(f"{method:15} {truth['name']}")


if __name__ == "__main__":
    main()
