r"""What is found of models of two and three classes, which are judged beside references only.

    python -m benchmarks.few_classes --zoo benchmarks/measured/few-report.jsonl \
        --calibrate-on benchmarks/measured/tuning.jsonl \
        --calibrate-on benchmarks/measured/calibration.jsonl \
        --calibrate-on benchmarks/measured/few-calibration.jsonl

Each model is judged once beside one, two or three clean models of its task, by the shipped
calibration, and by one that has seen no model of a task made of the same drawings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.leave_one_out import judged_apart, tables_of
from benchmarks.outcomes import Verdicts, beside_references
from benchmarks.profiles import Known, known
from benchmarks.tables import misses
from pipeline.config import ScanConfig

ZOO = click.Path(exists=True, path_type=Path)
KINDS = {
    "1 reference, same architecture": (1, True),
    "1 reference, any architecture": (1, False),
    "2 references, any architecture": (2, False),
    "3 references, any architecture": (3, False),
}
"""How many references there are, and whether they are of the model's architecture."""


def judged(models: Sequence[Known], pool: Sequence[Known], config: ScanConfig) -> Verdicts:
    """The verdicts on every model beside references of each kind."""
    return {
        kind: beside_references(models, pool, config, alike=alike, count=count)
        for kind, (count, alike) in KINDS.items()
    }


@click.command()
@click.option("--zoo", type=ZOO, required=True)
@click.option("--calibrate-on", "clean", type=ZOO, multiple=True, required=True)
def main(zoo: Path, clean: tuple[Path, ...]) -> None:
    """Print what was found and what was missed among the models of few classes of ZOO."""
    models, config = known(zoo), ScanConfig()
    calibrating = [each for place in clean for each in known(place)]
    shipped = judged(models, models, config)
    apart = judged_apart(models, calibrating, config, judged)
    for how, verdicts in (("the shipped calibration", shipped), ("one without the task", apart)):
        for title, lines in tables_of(f"By {how}", verdicts):
            click.echo(f"\n{title}\n")
            click.echo("\n".join(lines))
    click.echo("\nWrong beside one reference of the same architecture\n")
    click.echo("\n".join(misses(next(iter(shipped.values())))))


if __name__ == "__main__":
    main()
