"""How the cost of a scan grows with classes, pixels and parameters, beside BAN and BTI-DBF.

`python -m benchmarks.growth --output docs/growth.svg` prints a table and draws it. ResNets with
random weights, one thread, float32, each case in a process of its own. Of a scan a few passes are
timed and multiplied by the images that its searches show at most, as its own estimate does, which
is a little short (`benchmarks.estimate`); of the published methods some steps of each kind, on a
part of their batch. Seconds are the processor's; only their ratios are worth quoting.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.clock import seconds as clock
from benchmarks.speed import (
    images_shown,
    published_ban,
    published_bti_dbf,
    random_resnet,
    timed,
)
from pipeline.allocation import kept_memory
from pipeline.config import ScanConfig, load_config
from pipeline.pace.estimate import count_text
from stages.searches import SEARCHES
from stages.searches.pace import images_per_second

SIDES, CLASSES, DEPTHS = (32, 96, 224), (10, 43, 147, 200, 1000), (18, 34, 50)
USUAL_SIDE, USUAL_DEPTH, USUAL_CLASSES = 32, 18, 10
SAMPLES = 300
FLOAT32 = load_config(None, ("arithmetic.precision=float32", "arithmetic.layout=contiguous"))
"""What all cases have in common; trained nets are searched in bfloat16 where a processor has it."""
PART = 8
"""By how much the published batch of 128 is divided where it is timed, and its time multiplied."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A ResNet's depth and its images' side, millions of parameters, and processor seconds: of
    scans by the number of classes, and of the published methods, which know no classes.
    """

    side: int
    depth: int
    parameters: float
    scans: dict[int, float]
    ban: float
    bti_dbf: float


def measured(side: int, depth: int, steps: int) -> Case:
    """What a case costs."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as name, kept_memory():
        folder = Path(name)
        files = random_resnet(side, USUAL_CLASSES, folder, SAMPLES, depth)
        subject = timed(*files, folder, config=FLOAT32)
        ground = subject.searched
        memory_mb = ScanConfig().searches[SEARCHES[0].name].memory_mb
        pace = images_per_second(ground, memory_mb, partial(clock, subject.device))
        module = subject.prepared.twin.module
        return Case(
            side=side,
            depth=depth,
            parameters=sum(each.numel() for each in module.state_dict().values()) / 1e6,
            scans={count: images_shown(ground, count) / pace for count in CLASSES},
            ban=published_ban(subject, steps, PART),
            bti_dbf=published_bti_dbf(subject, steps, PART),
        )


def kept(folder: Path, side: int, depth: int, steps: int) -> Case:
    """The case, from the folder if it was measured before."""
    path = folder / f"{side}-{depth}.json"
    if not path.exists():
        with get_context("spawn").Pool(1) as pool:
            path.write_text(json.dumps(asdict(pool.apply(measured, (side, depth, steps)))))
    found = json.loads(path.read_text())
    scans = {int(count): seconds for count, seconds in found.pop("scans").items()}
    return Case(scans=scans, **found)


def table(cases: list[Case]) -> list[str]:
    """Markdown: what each case costs, in scans of ten classes of the first one."""
    unit = cases[0].scans[USUAL_CLASSES]
    scans = " | ".join(f"scan, {count_text(each)} classes" for each in CLASSES)
    lines = [
        f"| net | pixels | {scans} | BAN | BTI-DBF |",
        "|---" * (len(CLASSES) + 4) + "|",
    ]
    for case in cases:
        seconds = [*case.scans.values(), case.ban, case.bti_dbf]
        name = f"ResNet-{case.depth}, {case.parameters:.0f} million"
        cells = " | ".join(f"{each / unit:.3g}" for each in seconds)
        lines.append(f"| {name} | {case.side} | {cells} |")
    return lines


def drawn(cases: list[Case], path: Path) -> None:
    """Three curves: over classes, pixels and parameters."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    by_class, by_side, by_size = figure.subplots(1, 3, sharey=True)
    unit = cases[0].scans[USUAL_CLASSES]
    first = cases[0]
    by_class.plot(CLASSES, [first.scans[count] / unit for count in CLASSES], "o-", label="ban-gate")
    for name, seconds, colour in (("BAN", first.ban, "C1"), ("BTI-DBF", first.bti_dbf, "C2")):
        label = f"{name}, whatever the classes"
        by_class.axhline(seconds / unit, linestyle="--", color=colour, label=label)
    by_class.set_xlabel("classes, ResNet-18 at 32 pixels")
    by_class.set_xscale("log")
    by_class.set_xticks([10, 100, 1000], ["10", "100", "1000"])
    by_class.legend(fontsize="small")
    sides = [case for case in cases if case.depth == USUAL_DEPTH]
    _curves(by_side, sides, unit, lambda case: case.side)
    by_side.set_xlabel("pixels along a side, ResNet-18, 10 classes")
    sizes = [case for case in cases if case.side == USUAL_SIDE]
    _curves(by_size, sizes, unit, lambda case: case.parameters)
    by_size.set_xlabel("million parameters, 32 pixels, 10 classes")
    by_class.set_ylabel("cost, in scans of the first case")
    by_class.set_yscale("log")
    figure.savefig(path, metadata={"Date": None})


def _curves(axes: Axes, cases: list[Case], unit: float, along: Callable[[Case], float]) -> None:
    """Scan, BAN and BTI-DBF along something."""
    places = [along(case) for case in cases]
    axes.plot(places, [case.scans[USUAL_CLASSES] / unit for case in cases], "o-")
    axes.plot(places, [case.ban / unit for case in cases], "s--")
    axes.plot(places, [case.bti_dbf / unit for case in cases], "^--")
    axes.set_xticks(places, [f"{each:.0f}" for each in places])


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A picture.")
@click.option("--folder", type=click.Path(path_type=Path), help="Cases that were measured.")
@click.option("--steps", type=int, default=2, show_default=True, help="Steps that are timed.")
def main(output: Path, folder: Path | None, steps: int) -> None:
    """Print what scans cost, and draw it."""
    with TemporaryDirectory() as name:
        place = folder or Path(name)
        place.mkdir(parents=True, exist_ok=True)
        pairs = [(side, USUAL_DEPTH) for side in SIDES]
        pairs += [(USUAL_SIDE, depth) for depth in DEPTHS if depth != USUAL_DEPTH]
        cases = [kept(place, side, depth, steps) for side, depth in pairs]
    for line in table(cases):
        click.echo(line)
    drawn(cases, output)


if __name__ == "__main__":
    main()
