"""Whether a model's classes lie further apart than those of the calibration's clean models did, and
whether that says anything of its verdict.

    python -m benchmarks.spreads --measured FILE --zoo FILE

A model is beyond if the deviation of its ordinary classes (MAD), by any statistic, is larger than
that of every clean model of the calibration. It is judged by itself, by what was measured of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from scipy.stats import median_abs_deviation

from benchmarks.outcomes import Outcome, alone
from benchmarks.profiles import Known, known
from benchmarks.tables import interval
from benchmarks.zoo.recipe import CLEAN
from pipeline.config import ScanConfig
from stages.searches import SPECS, STATISTICS

PLACE = click.Path(exists=True, path_type=Path)
FEW = ScanConfig().calibration.is_few


def deviations(model: Known) -> dict[str, float]:
    """The median absolute deviation of the ordinary classes, by each statistic of classes."""
    found = {}
    for name in STATISTICS:
        values = model.profile.statistics[name][model.profile.ordinary]
        values = values[~np.isnan(values)]
        if len(values) and not SPECS[name].whole:
            found[name] = float(median_abs_deviation(values))
    return found


def widest(models: Sequence[Known]) -> dict[str, float]:
    """The largest deviation of clean models, by each statistic."""
    every = [deviations(each) for each in models if each.clean]
    return {name: max(each.get(name, 0.0) for each in every) for name in every[0]}


def lines(models: Sequence[Known], limits: dict[str, float]) -> Iterator[str]:
    """Two rows: of models within the limits and beyond, how many are blocked, rightly or not."""
    outcomes = {each.name: each for each in alone(models, ScanConfig())}
    beyond = {
        each.name
        for each in models
        if any(value > limits[name] for name, value in deviations(each).items())
    }
    for which, names in (("within", outcomes.keys() - beyond), ("beyond", beyond)):
        some = [outcomes[name] for name in names]
        clean = [each for each in some if each.attack == CLEAN]
        attacked = [each for each in some if each.attack != CLEAN]
        blocked = [each for each in clean if each.blocked]
        found = [each for each in attacked if each.found]
        yield f"| {which} | {_share(blocked, clean)} | {_share(found, attacked)} |"


def _share(some: Sequence[Outcome], every: Sequence[Outcome]) -> str:
    if not every:
        return "none"
    return f"{len(some)} of {len(every)} ({interval(len(some), len(every))})"


@click.command()
@click.option("--measured", "clean", type=PLACE, multiple=True, required=True)
@click.option("--zoo", "zoos", type=PLACE, multiple=True, required=True)
def main(clean: tuple[Path, ...], zoos: tuple[Path, ...]) -> None:
    """Print how many models are blocked whose classes lie within or beyond what was MEASURED."""
    limits = widest([e for zoo in clean for e in known(zoo) if not FEW(e.profile.classes)])
    models = [e for zoo in zoos for e in known(zoo) if not FEW(e.profile.classes)]
    click.echo("| classes lie | clean models blocked | attacked found, right class |")
    click.echo("|---|---|---|")
    for each in lines(models, limits):
        click.echo(each)


if __name__ == "__main__":
    main()
