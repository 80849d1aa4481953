"""What ending searches early costs and spares, on models whose truth is known.

    python -m benchmarks.early_ends reach --zoo FOLDER
    python -m benchmarks.early_ends table --zoo benchmarks/measured/report.jsonl …

`reach` takes the first steps of each search that may end after them, on every model of a zoo that
was measured, and adds a line to a file (`benchmarks.first_steps`) for each that has none yet.
`table` compares the verdicts with and without those ends, for several values of `judge.outlying`:
what is measured of the models are whole searches, so that the ends are all that differs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch

from benchmarks.first_steps import FILE, Reached, as_scanned, ends, read
from benchmarks.outcomes import Outcome, alone
from benchmarks.profiles import SAMPLES, Known, counted, known, place_of, some_samples
from benchmarks.speed import timed
from benchmarks.zoo.recipe import CLEAN
from pipeline.config import ScanConfig
from stages.searches import SEARCHES
from stages.searches.screen import begun_early, choose_classes, early_of
from stages.searches.search import Search, Subject

PLACE = click.Path(exists=True, path_type=Path)
ENDING = tuple(each for each in SEARCHES if each.early_after is not None)
"""The searches that may end after their first steps."""
LIMITS = (2.0, 2.5, 3.0, 3.5)


def reached(subject: Subject, config: ScanConfig) -> dict[str, list[float | None]]:
    """What the first steps of each search reach for every class, None where it is not searched."""
    classes = choose_classes(SEARCHES, subject, config.searches, config.screen, config.seed).classes
    found: dict[str, list[float | None]] = {}
    for search in ENDING:
        settings = config.searches[search.name]
        state = begun_early(search, subject, settings, classes, config.seed)
        if early := early_of(search, state):
            found[search.name] = [
                None if np.isnan(each) else float(f"{each:.5g}") for each in early.reached
            ]
    return found


def ended(model: Known, first: Reached, limit: float) -> Known:
    """The model with nothing said by the searches that end early."""
    profile = as_scanned(model.profile, first, limit)
    return replace(model, profile=profile, further=(), early=None)


def row(models: Sequence[Known], first: Mapping[str, Reached], limit: float) -> str:
    """A line of the table: how often each search ends, and which verdicts are others."""
    config = ScanConfig()
    config = replace(config, judge=replace(config.judge, near=1.0))
    whole = alone([replace(each, further=(), early=None) for each in models], config)
    early = alone([ended(each, first[each.name], limit) for each in models], config)
    cells = [f"{limit:g}"]
    for clean in (True, False):
        some = [each for each in models if each.clean is clean]
        shares = [
            np.mean([name in ends(each.profile, first[each.name], limit) for each in some])
            for name in (search.name for search in ENDING)
        ]
        cells.append(", ".join(f"{share:.0%}" for share in shares) if some else "–")
    cells += [f"{_blocked(whole)} → {_blocked(early)}", f"{_found(whole)} → {_found(early)}"]
    changed = [
        one.name
        for one, other in zip(whole, early, strict=True)
        if (one.blocked, one.found) != (other.blocked, other.found)
    ]
    return f"| {' | '.join(cells)} | {', '.join(changed) or 'none'} |"


def _blocked(outcomes: Sequence[Outcome]) -> str:
    clean = [each for each in outcomes if each.attack == CLEAN]
    return f"{sum(bool(each.blocked) for each in clean)} of {len(clean)}"


def _found(outcomes: Sequence[Outcome]) -> str:
    attacked = [each for each in outcomes if each.attack != CLEAN]
    return f"{sum(each.found for each in attacked)} of {len(attacked)}"


def _measured(zoo: Path) -> Iterator[tuple[str, str]]:
    """Name and task of each model of a zoo that was measured."""
    for truth in counted(zoo):
        name = str(truth["name"])
        if place_of(zoo, name, 0, SAMPLES).exists() and (zoo / f"{name}.onnx").exists():
            yield name, str(truth["task"])


@click.group()
def main() -> None:
    """Measure what the first steps of searches reach, and what ends by them."""


@main.command()
@click.option("--zoo", type=PLACE, required=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=FILE)
@click.option("--part", default="0/1", show_default=True, help="Every Nth model, from the Ith on.")
def reach(zoo: Path, output: Path, part: str) -> None:
    """Add what the first steps reach on the models of ZOO to OUTPUT."""
    torch.set_num_threads(1)
    done = set(read(output)) if output.exists() else set()
    number, parts = map(int, part.split("/"))
    for name, task in list(_measured(zoo))[number::parts]:
        if name in done:
            continue
        with TemporaryDirectory() as folder:
            samples = some_samples(zoo / f"{task}.npz", SAMPLES, Path(folder))
            found = timed(zoo / f"{name}.onnx", samples, Path(folder)).searched
            line = json.dumps({"name": name, "reached": reached(found, ScanConfig())})
        with output.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        click.echo(name)


@main.command()
@click.option("--reached", "file", type=PLACE, default=FILE)
@click.option("--zoo", "zoos", type=PLACE, multiple=True, required=True)
def table(file: Path, zoos: tuple[Path, ...]) -> None:
    """Print a row for each value of `judge.outlying`."""
    first = read(file)
    models = [each for zoo in zoos for each in known(zoo) if each.name in first]
    few = ScanConfig().calibration.is_few
    models = [each for each in models if not few(each.profile.classes)]
    names = ", ".join(_title(search) for search in ENDING)
    click.echo(
        f"| `judge.outlying` | clean: {names} end | backdoored: they end | clean models"
        " blocked | backdoored found | other verdict |"
    )
    click.echo("|---|---|---|---|---|---|")
    for limit in LIMITS:
        click.echo(row(models, first, limit))


def _title(search: Search) -> str:
    return search.name.replace("_", " ")


if __name__ == "__main__":
    main()
