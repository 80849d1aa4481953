"""How much memory the searches take: for images of 32, 224 and 512 pixels, 10 and 1 000 classes.

    python -m benchmarks.memory --side 224 --classes 1000

ResNet-18s with random weights and 300 samples that they label. Every search takes a brief look at
some classes and searches two to the end, with one step of each kind, which holds as much as many
steps do. Each case has a process of its own.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import psutil

from benchmarks.speed import random_resnet, timed
from pipeline.allocation import give_back, kept_memory
from pipeline.peak import peak_rss_mb
from stages.searches import SEARCHES
from stages.searches.screen import look, look_portions, run
from stages.settings import unchecked

SIDES, CLASSES, SAMPLES = (32, 224, 512), (10, 1000), 300
LOOKED, SEARCHED = 16, 2


def measured(side: int, classes: int) -> tuple[float, float, float]:
    """MiB: when the searches begin, the peak until then, and the peak of the searches."""
    with TemporaryDirectory() as folder, kept_memory():
        files = random_resnet(side, classes, Path(folder), SAMPLES)
        subject = timed(*files, Path(folder)).searched
        begun, before = psutil.Process().memory_info().rss / 2**20, peak_rss_mb()
        for search in SEARCHES:
            give_back()
            config = search.settings()
            if classes > LOOKED and look_portions(search, config, classes):
                some = np.arange(classes if search.joint else LOOKED)
                look(search, subject, _few_steps(config.brief), some, 0)
            numbers = np.arange(classes if search.joint else SEARCHED)
            run(search, subject, _few_steps(config), numbers, 0)
            click.echo(f"{search.name}: at most {peak_rss_mb():.0f} MiB so far", err=True)
        return begun, before, peak_rss_mb()


def _few_steps(config: Any) -> Any:
    """The settings with one step of each kind."""
    names = [each.name for each in fields(config) if each.name.endswith("steps")]
    return unchecked(config, **dict.fromkeys(names, 1))


@click.command()
@click.option("--side", "sides", type=int, multiple=True, default=SIDES, show_default=True)
@click.option("--classes", "counts", type=int, multiple=True, default=CLASSES, show_default=True)
def main(sides: tuple[int, ...], counts: tuple[int, ...]) -> None:
    """Print a table; what each search took by then goes to standard error."""
    click.echo(
        "| pixels | classes | samples | as they begin | peak before | peak of the searches |"
    )
    click.echo("|---|---|---|---|---|---|")
    for side, classes in product(sides, counts):
        with get_context("spawn").Pool(1) as pool:
            begun, before, peak = pool.apply(measured, (side, classes))
        samples = SAMPLES * 3 * side * side * 4 / 2**20
        cells = (samples, begun, before, peak)
        click.echo(f"| {side} | {classes} | {' | '.join(f'{each:.0f} MiB' for each in cells)} |")


if __name__ == "__main__":
    main()
