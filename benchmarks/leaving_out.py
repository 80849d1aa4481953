"""What is found without one search: each is left out in turn, with tails and nulls fitted anew.

    python -m benchmarks.leaving_out --zoo benchmarks/measured/report.jsonl --calibrate-on FILE

Tasks are left out in turn as well, as by `benchmarks.detection --leave-one-out`; models are judged
by themselves, by what was measured of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from benchmarks.leave_one_out import judged_apart
from benchmarks.outcomes import Outcome, alone
from benchmarks.profiles import Known, known
from benchmarks.tables import auroc, contrasted
from benchmarks.zoo.attacks import SINGLE_TARGET
from benchmarks.zoo.recipe import CLEAN
from pipeline.config import ScanConfig
from stages.searches import SEARCHES
from stages.verdict.profile import ClassProfile

PLACE = click.Path(exists=True, path_type=Path)


def without(models: Sequence[Known], search: str) -> list[Known]:
    """The models with a search that says the same of every class of every one."""

    def silenced(profile: ClassProfile) -> ClassProfile:
        said = {
            name: np.ones_like(values) if name.partition(".")[0] == search else values
            for name, values in profile.statistics.items()
        }
        return replace(profile, statistics=said)

    return [
        replace(each, profile=silenced(each.profile), further=tuple(map(silenced, each.further)))
        for each in models
    ]


def line(left_out: str, outcomes: Sequence[Outcome]) -> str:
    """A row of the table: what is blocked and found without a search."""
    clean, attacked = contrasted(outcomes)
    others = [each for each in outcomes if each.attack not in (CLEAN, *SINGLE_TARGET)]
    found = [sum(each.found for each in some) for some in (attacked, others)]
    blocked = sum(bool(each.blocked) for each in clean)
    return (
        f"| {left_out} | {blocked} of {len(clean)} | {found[0]} of {len(attacked)} |"
        f" {auroc(outcomes)[0]:.3f} | {found[1]} of {len(others)} |"
    )


@click.command()
@click.option("--zoo", "zoos", type=PLACE, multiple=True, required=True)
@click.option("--calibrate-on", "clean", type=PLACE, multiple=True, required=True)
def main(zoos: tuple[Path, ...], clean: tuple[Path, ...]) -> None:
    """Print a row for all searches, and for each that is left out."""
    models = [each for zoo in zoos for each in known(zoo)]
    calibrating = [each for zoo in clean for each in known(zoo)]
    lines = [
        "| left out | clean models blocked | single target found | AUROC | other attacks found |",
        "|---|---|---|---|---|",
    ]
    for search in ("", *(each.name for each in SEARCHES)):
        verdicts = judged_apart(
            without(models, search),
            without(calibrating, search),
            ScanConfig(),
            lambda own, _, config: {"alone": alone(own, config)},
        )
        lines.append(line(search or "none", verdicts["alone"]))
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
