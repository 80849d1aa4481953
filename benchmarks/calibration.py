"""How far classes of clean models lie apart, and how large their largest score gets: the nulls.

`python -m benchmarks.zoo --split tuning|calibration --output FOLDER` builds the models and
`python -m benchmarks.profiles --zoo FOLDER` measures them; then
`python -m benchmarks.calibration --zoo TUNING --zoo CALIBRATION` writes
`stages/verdict/calibration.toml` and prints how well a Gumbel distribution fits. Only clean models
are read. Weights are chosen, not measured: they stay, and a new statistic has none until `--weight`
gives it one.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import click
import numpy as np
from scipy.stats import gumbel_r, kstest

from benchmarks.calibration_file import NULL_TABLES, parsed, rewritten, text_before, write
from benchmarks.profiles import Known, known
from stages.errors import ConfigError
from stages.searches import STATISTICS
from stages.types import Floats
from stages.verdict.calibration import FILE, Calibration, Null, Row
from stages.verdict.score import scores

UNEVEN = 0.75
"""Quantile of the clean models' deviations that the floor is taken from."""
FLOOR = 2.0
"""The floor in such deviations. Chosen on tuning and calibration models."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where numbers are from: the day they were computed (ISO 8601), and the command line."""

    date: str
    command: str


def pairs(models: list[Known]) -> Iterator[tuple[Known, Known]]:
    """Every two models of the same task, the second as the reference of the first."""
    return ((one, other) for one, other in permutations(models, 2) if one.task == other.task)


def row(models: list[Known], statistic: str, weight: float, origin: Origin) -> Row:
    """Twice the deviation between the classes of a rather uneven model, and of two's difference.

    A model with classes further apart than that is measured by its own deviation.
    """

    def usual(values: list[Floats]) -> float:
        deviations = [each.std() for each in values]
        return round(float(FLOOR * np.quantile(deviations, UNEVEN)), 3)

    def values(model: Known) -> Floats:
        return model.profile.statistics[statistic]

    return Row(
        weight=weight,
        spread=usual([values(each) for each in models]),
        gap=usual([values(one) - values(other) for one, other in pairs(models)]),
        n=len(models),
        date=origin.date,
        command=origin.command,
    )


def largest_alone(models: list[Known], calibration: Calibration) -> Floats:
    """The largest score of each model by itself."""
    return np.array([scores(each.profile, (), calibration).max() for each in models])


def largest_referenced(models: list[Known], calibration: Calibration) -> Floats:
    """The largest score of each model beside each single reference."""
    both = ((one.profile, other.profile) for one, other in pairs(models))
    return np.array([scores(one, (other,), calibration).max() for one, other in both])


def fitted(name: str, values: Floats, models: int, origin: Origin) -> Null:
    """The Gumbel distribution of some largest scores, of so many models; prints how well it fits.

    Its scale is the likeliest one, or larger, so that its critical value at 5 % is not below the
    score that 5 % exceed.
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
    return Null(
        location=round(float(location), 3),
        scale=round(float(scale), 3),
        n=models,
        date=origin.date,
        command=origin.command,
    )


def calibrated(
    models: list[Known],
    before: Calibration,
    weights: Mapping[str, float],
    origin: Origin,
    names: Sequence[str],
) -> Calibration:
    """What clean models give for the statistics and nulls of these names; the rest as `before`.

    The nulls are those of the scores by the new rows. A statistic that is new has the weight 0.

    Raises:
        ConfigError: a statistic has no row, and none is asked for.
    """
    rows = {}
    for name in models[0].profile.statistics:
        if name in names:
            kept = before.rows[name].weight if name in before.rows else 0.0
            rows[name] = row(models, name, weights.get(name, kept), origin)
        else:
            rows[name] = before.row(name)
    settled = replace(before, rows=rows)
    alone = fitted("alone", largest_alone(models, settled), len(models), origin)
    referenced = fitted("referenced", largest_referenced(models, settled), len(models), origin)
    return replace(
        settled,
        alone=alone if "null.alone" in names else before.alone,
        referenced=referenced if "null.referenced" in names else before.referenced,
    )


def scored_otherwise(before: Calibration, after: Calibration) -> list[str]:
    """The statistics by which some model may get another score than before."""

    def counted(calibration: Calibration, name: str) -> tuple[float, ...]:
        found = calibration.rows.get(name)
        return (found.weight, found.spread, found.gap) if found and found.weight else ()

    names = dict.fromkeys((*before.rows, *after.rows))
    return [name for name in names if counted(before, name) != counted(after, name)]


def written(
    text: str,
    models: list[Known],
    weights: Mapping[str, float],
    origin: Origin,
    only: Sequence[str] = (),
) -> str:
    """The text of a calibration with the tables in `only` computed anew, or all but the shared one.

    Then rows of statistics that no search gives any more are left out; with `only` they are kept.

    Raises:
        ConfigError: a statistic has no row, and none is asked for.
        ClickException: there are too few models, a weight is for what is not written, or scores
            would change under nulls that do not.
    """
    if next(pairs(models), None) is None:
        raise click.ClickException("found no two measured clean models of one task, expected them")
    before = parsed(text)
    names = only or (*NULL_TABLES, *models[0].profile.statistics)
    if unwritten := [name for name in weights if name not in names]:
        raise click.ClickException(
            f"`--weight` is for `{unwritten[0]}`, which is not written; add `--only {unwritten[0]}`"
        )
    after = calibrated(models, before, weights, origin, names)
    if only:
        after = replace(after, rows={**before.rows, **after.rows})
    changed = scored_otherwise(before, after)
    stale = [name for name in NULL_TABLES if name not in names]
    if changed and stale:
        raise click.ClickException(
            f"`{changed[0]}` changes the scores of models, so the nulls change too; add"
            f" {' '.join(f'`--only {name}`' for name in stale)}"
        )
    return rewritten(text, after, names)


def weight(given: str) -> tuple[str, float]:
    """The statistic and the weight in `STATISTIC=WEIGHT`.

    Raises:
        BadParameter: it is none, or of a statistic that no search gives.
    """
    name, _, number = given.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if name not in STATISTICS or not 0 <= value < math.inf:
        raise click.BadParameter(
            f"`{given}` is no weight; expected STATISTIC=WEIGHT such as `blend.margin=2.0`, with a"
            f" number of 0 or more and one of {', '.join(STATISTICS)}"
        )
    return name, value


def command_line(**options: object) -> str:
    """The command with these options, of which several values are given one by one."""
    words = ["python", "-m", "benchmarks.calibration"]
    for name, given in options.items():
        for value in given if isinstance(given, tuple) else (given,):
            words += [f"--{name}", str(value)]
    return shlex.join(words)


@click.command()
@click.option(
    "--zoo", "zoos", type=click.Path(exists=True, path_type=Path), multiple=True, required=True
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=FILE,
    help="The file to write; one that is there keeps its weights. Default: the shipped one.",
)
@click.option(
    "--only",
    type=click.Choice([*STATISTICS, *NULL_TABLES]),
    multiple=True,
    help="Write the table of this statistic or null alone, and leave the rest bit for bit.",
)
@click.option(
    "--weight",
    "given",
    metavar="STATISTIC=WEIGHT",
    multiple=True,
    help="The weight of a statistic in the score, chosen on tuning and calibration models.",
)
def main(
    zoos: tuple[Path, ...], output: Path, only: tuple[str, ...], given: tuple[str, ...]
) -> None:
    """Write the nulls and the spreads of the clean models of every ZOO."""
    weights = dict(map(weight, given))
    place = {} if output == FILE else {"output": output}
    command = command_line(zoo=zoos, **place, only=only, weight=given)
    origin = Origin(date=datetime.now(UTC).date().isoformat(), command=command)
    try:
        models = [each for zoo in zoos for each in known(zoo) if each.clean]
        write(output, written(text_before(output), models, weights, origin, only))
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {output}")


if __name__ == "__main__":
    main()
