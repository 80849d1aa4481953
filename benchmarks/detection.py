"""What is found among classifiers whose truth is known, by ban-gate and by its peers, in one table.

`python -m benchmarks.zoo --split report --output FOLDER` builds the models,
`python -m benchmarks.profiles --zoo FOLDER` and `python -m benchmarks.peers --zoo FOLDER` measure
them, then `python -m benchmarks.detection --zoo FOLDER` prints the tables and every miss. An attack
counts only where it succeeds on 80 % of held-out images; attacks without a single target, with
clean labels, or made to evade defences stand in rows of their own and in no total.
`--leave-one-out` judges every task by a calibration that has not seen it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.leave_one_out import judged_apart, sections
from benchmarks.outcomes import (
    Outcome,
    alone,
    beside_references,
    by_statistic,
    in_common,
    peer,
)
from benchmarks.peers.__main__ import PEERS
from benchmarks.profiles import SAMPLES, Known, known
from benchmarks.tables import attack_table, blocked_table, method_table, misses
from benchmarks.zoo.attacks import SINGLE_TARGET
from benchmarks.zoo.recipe import CLEAN
from pipeline.config import ScanConfig
from stages.errors import ConfigError
from stages.verdict.calibration import from_tables

HEAD_PROBE = "head_probe.share"
"""A statistic that costs nothing, as a method of its own."""
PLACE = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--zoo", "zoos", type=PLACE, multiple=True, required=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--samples", type=int, default=SAMPLES, show_default=True)
@click.option("--task", "tasks", multiple=True, help="Only models of these tasks.")
@click.option("--calibration", type=PLACE, help="A file to judge by instead of the shipped one.")
@click.option("--leave-one-out", is_flag=True, help="Calibrate anew for every task, without it.")
@click.option(
    "--calibrate-on", "clean", type=PLACE, multiple=True, help="For --leave-one-out: clean models."
)
def main(
    zoos: tuple[Path, ...],
    seed: int,
    samples: int,
    tasks: tuple[str, ...],
    calibration: Path | None,
    clean: tuple[Path, ...],
    *,
    leave_one_out: bool,
) -> None:
    """Print what was found and what was missed among the models of every ZOO."""
    if leave_one_out != bool(clean) or (leave_one_out and calibration):
        raise click.UsageError(
            "expected --leave-one-out with --calibrate-on and without --calibration, or neither"
        )
    try:
        config = _config(seed, calibration)
        models = [each for zoo in zoos for each in known(zoo, seed, samples)]
        calibrating = [each for zoo in clean for each in known(zoo, seed, samples)]
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    models = [each for each in models if not tasks or each.task in tasks]
    if former := sum(each.former for each in models):
        click.echo(f"{former} of {len(models)} models measured by searches of before")
    if leave_one_out:
        _print(sections(judged_apart(models, calibrating, config)))
    else:
        _print(_tables(models, zoos, config))


def _config(seed: int, calibration: Path | None) -> ScanConfig:
    """The defaults, with a calibration of one's own.

    Raises:
        ConfigError: the file is no calibration.
    """
    config = ScanConfig(seed=seed)
    if calibration is None:
        return config
    try:
        tables = tomllib.loads(calibration.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"calibration `{calibration}` is no TOML ({error}); expected a file that"
            " `python -m benchmarks.calibration` wrote"
        ) from error
    return replace(config, calibration=from_tables(tables))


def _tables(
    models: list[Known], zoos: tuple[Path, ...], config: ScanConfig
) -> Iterable[tuple[str, list[str]]]:
    """Titles and tables: models by themselves, beside one reference each, and by the peers."""
    by_itself = alone(models, config)
    beside = beside_references(models, models, config, alike=False)
    methods = {"ban-gate": by_itself, "ban-gate, 1 reference": beside}
    methods["head probe alone"] = by_statistic(models, HEAD_PROBE, config)
    methods |= {name: peer(models, zoos, name) for name in PEERS}
    shared = in_common(methods)
    yield "Methods", method_table(methods)
    yield "Methods, on the models that all of them judged", method_table(shared)
    yield "Found with the right class at 5 %, on the same models", attack_table(shared)
    yield "Alone, per attack", blocked_table(by_itself, lambda each: each.attack)
    yield (
        "Alone, per architecture",
        blocked_table(by_itself, lambda each: f"{each.architecture} {_kind(each)}"),
    )
    yield "Alone, per task", blocked_table(by_itself, lambda each: f"{each.task} {_kind(each)}")
    yield "With one reference, per attack", blocked_table(beside, lambda each: each.attack)
    yield "Wrong, alone", misses(by_itself)


def _kind(outcome: Outcome) -> str:
    if outcome.attack == CLEAN:
        return CLEAN
    return "single target" if outcome.attack in SINGLE_TARGET else "other attack"


def _print(tables: Iterable[tuple[str, list[str]]]) -> None:
    for title, lines in tables:
        click.echo(f"\n{title}\n")
        click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
