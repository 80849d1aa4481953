"""How far classes of clean models stand out, and how large their largest score gets: the nulls.

`python -m benchmarks.calibration --zoo TUNING --zoo CALIBRATION` writes
`stages/verdict/calibration.toml` from measured class profiles (`benchmarks.profiles`), given as the
folders of a zoo or as files of `benchmarks.measured`, and prints how well the nulls fit. Only clean
models are read, and nothing is chosen by hand. `--without TASK` leaves a task out, for
`--output` elsewhere. On models of `--checked` nothing is fitted: where the limits hold of them, the
range takes them in (`benchmarks.widening`).
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.optimize import minimize
from scipy.stats import genpareto, gumbel_r, kstest

from benchmarks.profiles import Known, known
from benchmarks.widening import widened
from pipeline.atomic_files import write_text
from stages.errors import ConfigError
from stages.searches import SPECS, STATISTICS
from stages.types import Floats
from stages.verdict.calibration import FILE, NULLS, Calibration, Null, Range, Row, Tail
from stages.verdict.profile import ClassProfile
from stages.verdict.score import CLASSES, SCALED, UPPER, anomaly_index, own_values, scores

FEW = 3
"""A model of so many classes or fewer counts as one of few."""
SMALLEST = 1e-3
"""Least deviations are at least this."""
NARROWEST = 0.05
"""Scales are at least this, for zoos whose models are all alike."""
HEAD = """\
# How far classes of clean models stand out in each statistic, and the nulls of the score.
# Written by `python -m benchmarks.calibration`; what each value means stands in calibration.py.
"""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where numbers are from: the day they were computed (ISO 8601), and the command line."""

    date: str
    command: str


def pairs(models: Sequence[Known]) -> Iterator[tuple[Known, Known]]:
    """Every two models of the same task, the second as the reference of the first."""
    return ((one, other) for one, other in permutations(models, 2) if one.task == other.task)


def tail(values: list[Floats], whole: bool) -> Tail:
    """The tail of a statistic: values (m,) of the ordinary classes of each clean model."""
    known = [each[~np.isnan(each)] for each in values]
    known = [each for each in known if len(each)]
    if not known:
        return Tail(centre=0.0, least=1.0, upper=1.0, scale=1.0)
    if whole:
        each_one = np.array([each[0] for each in known])
        return _around(float(np.median(each_one)), each_one)
    deviations = [SCALED * np.median(np.abs(each - np.median(each))) for each in known]
    least = max(float(np.median(deviations)), SMALLEST)
    return _beyond(0.0, least, np.concatenate([anomaly_index(each, each, least) for each in known]))


def few_tail(differences: list[Floats]) -> Tail:
    """The tail of differences (K,) of two clean models of few classes, as they are."""
    every = np.concatenate(differences)
    return _around(0.0, every[~np.isnan(every)])


def _around(centre: float, values: Floats) -> Tail:
    """The tail of values by how far they lie from a centre that all models share."""
    least = max(float(SCALED * np.median(np.abs(values - centre))), SMALLEST)
    return _beyond(centre, least, (values - centre) / least)


def _beyond(centre: float, least: float, index: Floats) -> Tail:
    """The tail of anomaly indices that were measured by such a centre and least deviation."""
    upper = float(np.quantile(index, 1 - UPPER))
    beyond = index[index > upper] - upper
    if len(beyond):
        fit, _, _ = genpareto.fit(beyond, floc=0)
        click.echo(f"  a tail of {len(beyond)} classes, whose likeliest shape is {fit:.2f}")
    return Tail(
        centre=round(centre, 4),
        least=round(least, 4),
        upper=round(max(upper, NARROWEST), 3),
        scale=round(max(float(beyond.mean()) if len(beyond) else 0.0, NARROWEST), 3),
    )


def row(models: Sequence[Known], few: Sequence[Known], statistic: str, origin: Origin) -> Row:
    """The tails of a statistic, by itself and as the difference of two models of one task, and of
    two of `few` classes.
    """
    click.echo(f"{statistic}, by itself, beside a reference, and of few classes:")

    def values(profile: ClassProfile) -> Floats:
        return own_values(statistic, profile)

    def between(group: Sequence[Known]) -> list[Floats]:
        return [
            (values(one.profile) - values(other.profile))[one.profile.ordinary]
            for one, other in pairs(group)
        ]

    alone = [values(each.profile)[each.profile.ordinary] for each in models]
    whole = SPECS[statistic].whole
    return Row(
        alone=tail(alone, whole),
        referenced=tail(between(models), whole),
        few=few_tail(between(few)),
        n=len(models),
        date=origin.date,
        command=origin.command,
    )


def largest(
    models: Sequence[Known], calibration: Calibration, referenced: bool
) -> tuple[Floats, Floats]:
    """The largest score of each clean model, or pair of them, and its number of classes."""
    cases = (
        [(one.profile, (other.profile,)) for one, other in pairs(models)]
        if referenced
        else [(each.profile, ()) for each in models]
    )
    found = [scores(one, beside, calibration).max() for one, beside in cases]
    return np.array(found), np.array([one.classes for one, _ in cases], np.float32)


def fitted(name: str, values: Floats, classes: Floats, models: int, origin: Origin) -> Null:
    """The likeliest Gumbel distribution of the squares of some largest scores, of so many models.

    Its location grows with the logarithm of the number of classes. Its scale is the likeliest one,
    or larger, so that its critical value at 5 % is not below the score that 5 % exceed.
    """
    away, squares = np.log(np.maximum(classes, CLASSES) / CLASSES), values**2

    def unlikelihood(parameters: Floats) -> float:
        location, log_scale, growth = parameters
        moved = squares - location - max(growth, 0.0) * away
        return -float(gumbel_r.logpdf(moved, 0, max(math.exp(log_scale), NARROWEST)).sum())

    start = [float(np.median(squares)), math.log(max(float(np.std(squares)), NARROWEST)), 0.1]
    location, log_scale, growth = minimize(unlikelihood, start, method="Nelder-Mead").x
    growth = max(float(growth), 0.0) if np.ptp(away) else 0.0
    scale = max(math.exp(log_scale), NARROWEST)
    moved = squares - growth * away
    scale = max(scale, (np.quantile(moved, 0.95) - location) / gumbel_r.isf(0.05))
    fit = kstest(moved, "gumbel_r", args=(location, scale))
    click.echo(
        f"{name}: location {location:.3f}, scale {scale:.3f}, growth {growth:.3f}, n {len(values)},"
        f" Kolmogorov-Smirnov p = {fit.pvalue:.2f}; exceeded by 5 %:"
        f" {np.quantile(moved, 0.95):.2f}, by the Gumbel {gumbel_r.isf(0.05, location, scale):.2f};"
        f" largest {moved.max():.2f} (squares of scores)"
    )
    return Null(
        location=round(float(location), 3),
        scale=round(float(scale), 3),
        growth=round(growth, 3),
        up_to=int(classes.max()),
        n=models,
        date=origin.date,
        command=origin.command,
    )


def calibrated(models: Sequence[Known], origin: Origin) -> Calibration:
    """Everything that clean models give.

    Raises:
        ClickException: there are no two clean models of one task, or none of few classes.
    """
    few = [each for each in models if each.profile.classes <= FEW]
    models = [each for each in models if each.profile.classes > FEW]
    for group, which in ((models, f"more than {FEW}"), (few, f"up to {FEW}")):
        if next(pairs(group), None) is None:
            raise click.ClickException(
                f"found no two measured clean models of one task of {which} classes, expected them"
            )
    unknown = Null(location=0.0, scale=1.0, growth=0.0, up_to=CLASSES, n=1)
    classes, sides = zip(*((e.profile.classes, e.profile.side) for e in models), strict=True)
    found = Calibration(
        range=Range(
            fewest_fitted=min(classes),
            fewest_classes=min(classes),
            most_classes=max(classes),
            few_classes=FEW,
            smallest_side=min(sides),
            largest_side=max(sides),
        ),
        alone=unknown,
        referenced=unknown,
        few=unknown,
        rows={name: row(models, few, name, origin) for name in STATISTICS},
    )
    groups = {"alone": models, "referenced": models, "few": few}
    nulls = {
        name: fitted(name, *largest(group, found, name != "alone"), len(group), origin)
        for name, group in groups.items()
    }
    return replace(found, **nulls)


def text_of(calibration: Calibration) -> str:
    """A calibration as TOML."""
    tables: dict[str, dict[str, Any]] = {"range": asdict(calibration.range)}
    tables |= {f"null.{name}": asdict(getattr(calibration, name)) for name in NULLS}
    tables |= {name: asdict(each) for name, each in calibration.rows.items()}
    return "\n".join([HEAD, *(_table(name, values) for name, values in tables.items())])


def _table(name: str, values: dict[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else str(value)


@click.command()
@click.option(
    "--zoo", "zoos", type=click.Path(exists=True, path_type=Path), multiple=True, required=True
)
@click.option(
    "--checked",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Models that the range takes in where the limits hold of them.",
)
@click.option("--without", multiple=True, help="A task that is left out.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=FILE,
    help="The file to write. Default: the shipped one.",
)
def main(
    zoos: tuple[Path, ...], checked: tuple[Path, ...], without: tuple[str, ...], output: Path
) -> None:
    """Write what the clean models of every ZOO give."""
    words = ["python", "-m", "benchmarks.calibration"]
    words += [word for zoo in zoos for word in ("--zoo", str(zoo))]
    words += [word for place in checked for word in ("--checked", str(place))]
    words += [word for task in without for word in ("--without", task)]
    origin = Origin(date=datetime.now(UTC).date().isoformat(), command=shlex.join(words))
    try:
        models = [each for zoo in zoos for each in known(zoo) if each.clean]
        others = [each for place in checked for each in known(place)]
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    models = [each for each in models if each.task not in without]
    write_text(output, text_of(widened(calibrated(models, origin), others)))
    click.echo(f"wrote {output}, from {len(models)} clean models")


if __name__ == "__main__":
    main()
