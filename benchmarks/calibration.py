"""How far classes of clean models lie apart, and how large their largest score gets: the nulls.

`python -m benchmarks.zoo --split tuning|calibration --output FOLDER` builds the models and
`python -m benchmarks.profiles --zoo FOLDER` measures them; then
`python -m benchmarks.calibration --zoo TUNING --zoo CALIBRATION` prints what stands in
`stages/score.py`, and how well a Gumbel distribution fits. Only clean models are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import click
import numpy as np
from scipy.stats import gumbel_r, kstest

from benchmarks.profiles import Known, known
from stages.score import Null, ScoreConfig, scores, values_of
from stages.types import Floats

UNEVEN = 0.75
"""Quantile of the clean models' deviations that the floor is taken from."""
FLOOR = 2.0
"""The floor in such deviations. Chosen on tuning and calibration models."""


def pairs(models: list[Known]) -> Iterator[tuple[Known, Known]]:
    """Every two models of the same task, the second as the reference of the first."""
    return ((one, other) for one, other in permutations(models, 2) if one.task == other.task)


def spreads(models: list[Known]) -> ScoreConfig:
    """Twice the deviation between the classes of a rather uneven model, and of two's difference.

    A model with classes further apart than that is measured by its own deviation.
    """

    def usual(values: list[Floats]) -> tuple[float, ...]:
        each = [one.std(axis=1) for one in values]
        found: list[float] = (FLOOR * np.quantile(each, UNEVEN, axis=0)).round(3).tolist()
        return tuple(found)

    gaps = [values_of(one.profile) - values_of(other.profile) for one, other in pairs(models)]
    return ScoreConfig(
        spreads=usual([values_of(each.profile) for each in models]), gaps=usual(gaps)
    )


def largest_alone(models: list[Known], config: ScoreConfig) -> Floats:
    """The largest score of each model by itself."""
    return np.array([scores(each.profile, (), config).max() for each in models])


def largest_referenced(models: list[Known], config: ScoreConfig) -> Floats:
    """The largest score of each model beside each single reference."""
    both = ((one.profile, other.profile) for one, other in pairs(models))
    return np.array([scores(one, (other,), config).max() for one, other in both])


def fitted(name: str, values: Floats) -> Null:
    """The Gumbel distribution of some largest scores; prints how well it fits.

    Its scale is the likeliest one, or larger, so that no more than 5 % exceed its limit at 5 %.
    """
    location, scale = gumbel_r.fit(values)
    shares = np.array([0.05, 0.02])
    measured = np.quantile(values, 1 - shares)
    scale = max(scale, (measured[0] - location) / gumbel_r.isf(shares[0]))
    fit = kstest(values, "gumbel_r", args=(location, scale))
    expected = gumbel_r.isf(shares, location, scale)
    click.echo(
        f"{name}: location {location:.3f}, scale {scale:.3f}, n {len(values)},"
        f" Kolmogorov–Smirnov p = {fit.pvalue:.2f}; exceeded by 5 % and 2 %: {measured.round(2)},"
        f" by the Gumbel {expected.round(2)}; largest {values.max():.2f}"
    )
    return Null(location=round(float(location), 3), scale=round(float(scale), 3))


def calibrated(models: list[Known]) -> ScoreConfig:
    """The settings that clean models give."""
    config = spreads(models)
    alone = fitted("alone", largest_alone(models, config))
    settled = replace(config, alone_location=alone.location, alone_scale=alone.scale)
    beside = fitted("referenced", largest_referenced(models, settled))
    return replace(
        settled,
        referenced_location=beside.location,
        referenced_scale=beside.scale,
    )


@click.command()
@click.option(
    "--zoo", "zoos", type=click.Path(exists=True, path_type=Path), multiple=True, required=True
)
def main(zoos: tuple[Path, ...]) -> None:
    """Print the nulls and the spreads, from the clean models of every ZOO."""
    models = [each for zoo in zoos for each in known(zoo) if each.clean]
    click.echo(calibrated(models))


if __name__ == "__main__":
    main()
