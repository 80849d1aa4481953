"""What precision and layout of the searches change in verdicts, and what they save.

    python -m benchmarks.arithmetic --zoo FOLDER [--every 10] [--precision bfloat16]

Every Nth model of a zoo is measured twice in one process on one thread: in float32 with contiguous
images, and as a timed pass of the model chooses, or with a precision that is forced. A line each:
what was chosen, the share of the processor seconds that are left, and verdict, class and anomaly
score of both; then how far the scores of all classes lie apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch

from benchmarks.profiles import SAMPLES, counted, some_samples
from pipeline.cache.store import Store
from pipeline.config import load_config
from pipeline.request import ScanRequest
from pipeline.scan import scan
from stages.types import Verdict

USUAL = ("arithmetic.precision=float32; arithmetic.layout=contiguous",)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One scan: its verdict, what it computed with, and the processor seconds it took."""

    verdict: Verdict
    arithmetic: str
    seconds: float


def measured(model: Path, samples: Path, overrides: tuple[str, ...]) -> Measured:
    """A whole scan by one seed, with nothing kept of earlier ones."""
    with TemporaryDirectory() as folder:
        request = ScanRequest(
            model=str(model),
            samples=some_samples(samples, SAMPLES, Path(folder)),
            uri=model.name,
            config=load_config(None, ("judge.near=1", *overrides)),
        )
        place = Path(folder, "scan")
        place.mkdir()
        started = time.process_time()
        result = scan(request, Store(None), place)
        seconds = time.process_time() - started
    used = result.environment
    return Measured(
        verdict=result.verdict,
        arithmetic=f"{used['precision']} {used['layout']}",
        seconds=seconds,
    )


def compared(zoo: Path, every: int, precision: str) -> Iterator[tuple[str, Measured, Measured]]:
    """Name, and both scans, of every Nth model that counts."""
    other = (f"arithmetic.precision={precision}; arithmetic.layout=auto",)
    for truth in [*counted(zoo)][::every]:
        paths = zoo / f"{truth['name']}.onnx", zoo / f"{truth['task']}.npz"
        yield str(truth["name"]), measured(*paths, USUAL), measured(*paths, other)


@click.command()
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--every", type=int, default=10, show_default=True)
@click.option(
    "--precision", type=click.Choice(["auto", "bfloat16"]), default="auto", show_default=True
)
def main(*, zoo: Path, every: int, precision: str) -> None:
    """Compare verdicts and cost of both on every Nth model of ZOO."""
    torch.set_num_threads(1)
    ratios, same, apart = [], 0, []
    for name, usual, chosen in compared(zoo, every, precision):
        ratios.append(chosen.seconds / usual.seconds)
        apart.append(np.subtract(chosen.verdict.class_scores, usual.verdict.class_scores))
        same += _said(usual.verdict)[:2] == _said(chosen.verdict)[:2]
        click.echo(
            f"{name}: {chosen.arithmetic}, {ratios[-1]:.2f} of {usual.seconds:.0f} s,"
            f" {_text(usual.verdict)} -> {_text(chosen.verdict)}"
        )
    low, middle, high = np.quantile(ratios, (0, 0.5, 1))
    click.echo(
        f"{len(ratios)} models: {same} with the same verdict and class; processor seconds"
        f" {middle:.2f} ({low:.2f} to {high:.2f}) of those in float32 with contiguous images"
    )
    usually, most, largest = np.quantile(np.abs(np.concatenate(apart)), (0.5, 0.95, 1))
    click.echo(
        f"scores of all classes differ by {usually:.2f} in the median, {most:.2f} in 95 % and"
        f" {largest:.2f} at most"
    )


def _said(verdict: Verdict) -> tuple[str, int | None, float]:
    return verdict.label, verdict.suspected_class, verdict.anomaly_score or 0.0


def _text(verdict: Verdict) -> str:
    label, suspected, score = _said(verdict)
    return f"{label} {'' if suspected is None else suspected} {score:.2f}"


if __name__ == "__main__":
    main()
