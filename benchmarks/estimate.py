"""How well a scan's estimate holds: expected and actual time of all searches, for a few nets.

`python -m benchmarks.estimate` takes the demo's clean model and ResNet-18s with random weights at
32 and 64 pixels; `--case` takes one of them. As only time is compared, the nets need not be good.
The actual time is that of the searches of `--classes` classes, and so is the estimate.
Seconds are the processor's, of this process, so that what else runs on the machine counts little;
a machine that is idle gives the same ratios in wall time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from benchmarks.data import DEMO
from benchmarks.speed import random_resnet, timed
from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.prepare import subject_of
from stages.searches import SEARCHES
from stages.searches.pace import images_per_second
from stages.searches.screen import planned, run
from stages.searches.search import Subject

SIDES = {"resnet18-32": 32, "resnet18-64": 64}
CASES = ("demo", *SIDES)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A search of one net: the images it shows, and the seconds expected and taken."""

    search: str
    images: int
    expected: float
    actual: float

    @property
    def ratio(self) -> float:
        """How many times longer it took than expected."""
        return self.actual / self.expected if self.expected else float("nan")

    def __str__(self) -> str:
        return (
            f"{self.search:<14} {self.images:>8} images  expected {self.expected:>7.1f} s"
            f"  actual {self.actual:>7.1f} s  ratio {self.ratio:>5.2f}"
        )


def lines(subject: Subject, classes: int) -> Iterator[Line]:
    """What every search of so many classes takes, as expected and as measured, and the whole."""
    config, wanted = ScanConfig(), np.arange(min(classes, subject.twin.classes))
    memory = config.searches[SEARCHES[0].name].memory_mb
    pace = images_per_second(subject, memory, time.process_time)
    found = []
    for search in SEARCHES:
        settings = config.searches[search.name]
        images = planned(search, subject, settings, len(wanted), config.seed).images
        started = time.process_time()
        run(search, subject, settings, wanted, config.seed)
        taken = time.process_time() - started
        found.append(Line(search=search.name, images=images, expected=images / pace, actual=taken))
        yield found[-1]
    yield Line(
        search="all",
        images=sum(each.images for each in found),
        expected=sum(each.expected for each in found),
        actual=sum(each.actual for each in found),
    )


def subject_for(case: str, folder: Path) -> Subject:
    """What is searched in a case."""
    if case == "demo":
        model, samples = DEMO / "clean.onnx", DEMO / "samples.npz"
    else:
        model, samples = random_resnet(SIDES[case], 10, folder)
    workspace = folder / "workspace"
    workspace.mkdir()
    found = timed(model, samples, workspace)
    return subject_of(found.prepared, found.clean, Store(None))


@click.command()
@click.option("--case", "cases", type=click.Choice(CASES), multiple=True, help="Default: all.")
@click.option("--classes", default=10, show_default=True, help="Classes that are searched.")
def main(cases: tuple[str, ...], classes: int) -> None:
    """Print expected and actual seconds of the searches, and their ratio."""
    for case in cases or CASES:
        with TemporaryDirectory() as name:
            subject = subject_for(case, Path(name))
            click.echo(f"{case}, {classes} classes")
            for line in lines(subject, classes):
                click.echo(f"  {line}")


if __name__ == "__main__":
    main()
