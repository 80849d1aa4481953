"""How far the first class leads among clean tuning models: the null of the verdict.

`python -m benchmarks.zoo --split tuning --output FOLDER` builds the models, then
`python -m benchmarks.calibration --zoo FOLDER` prints θ and n, which stand in `stages/judge.py`,
and how well an exponential distribution fits.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from scipy.stats import kstest

from benchmarks.zoo.recipe import CLEAN
from pipeline.config import ScanConfig
from pipeline.scan import ScanRequest, scan
from pipeline.store import Store


def leads(folder: Path) -> list[float]:
    """The lead of the first class in every clean model of the zoo in `folder`."""
    found = []
    for record in sorted(folder.glob(f"*-{CLEAN}-*.json")):
        truth = json.loads(record.read_text())
        request = ScanRequest(
            model=str(record.with_suffix(".onnx")),
            samples=folder / f"{truth['task']}.npz",
            uri=record.stem,
            config=ScanConfig(),
        )
        with TemporaryDirectory() as workspace:
            result = scan(request, Store(None), Path(workspace))
        found.append(result.verdict.statistics[0].value)
        click.echo(f"{record.stem:40} lead {found[-1]:.4f}")
    return found


@click.command()
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--threads", type=int, default=1, show_default=True)
def main(zoo: Path, threads: int) -> None:
    """Print θ and n of the null distribution, from the clean models of ZOO."""
    torch.set_num_threads(threads)
    found = np.array(leads(zoo))
    fit = kstest(found, "expon", args=(0, found.mean()))
    click.echo(
        f"θ = {found.mean():.4f}, n = {len(found)}, largest {found.max():.4f};"
        f" Kolmogorov–Smirnov against the exponential: p = {fit.pvalue:.2f}"
    )


if __name__ == "__main__":
    main()
