"""What is found on tasks that the calibration has never seen: each is left out in turn, and with it
every task that is made of the same drawings.

`python -m benchmarks.detection --leave-one-out` prints these tables. A model has one verdict of
each kind: by itself, beside one reference of its architecture, and beside one of any architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import click

from benchmarks.calibration import Origin, calibrated
from benchmarks.outcomes import Outcome, Verdicts, every_kind
from benchmarks.profiles import Known
from benchmarks.tables import auroc, contrasted, interval
from benchmarks.zoo.recipe import CLEAN
from benchmarks.zoo.tasks import TASKS
from pipeline.config import ScanConfig

FEWEST = 10
"""Rows of fewer models are marked."""
ORIGIN = Origin(date="", command="python -m benchmarks.detection --leave-one-out")


def judged_apart(
    models: Sequence[Known],
    calibrating: Sequence[Known],
    config: ScanConfig,
    judged: Callable[[Sequence[Known], Sequence[Known], ScanConfig], Verdicts] = every_kind,
) -> Verdicts:
    """The verdicts on every model, by a calibration on clean models of tasks of another origin.

    References come from all clean models that are given, of the model's own task.

    Raises:
        ClickException: without a task there are no two clean models of one task.
    """
    verdicts: Verdicts = {}
    known = {each.name: each for each in (*models, *calibrating)}
    for origin in dict.fromkeys(TASKS[each.task].origin for each in models):
        own = [each for each in models if TASKS[each.task].origin == origin]
        others = [e for e in calibrating if e.clean and TASKS[e.task].origin != origin]
        click.echo(f"calibrated on {len(others)} clean models, none of them of {origin}:")
        fitting = replace(config, calibration=calibrated(others, ORIGIN))
        for kind, outcomes in judged(own, list(known.values()), fitting).items():
            verdicts.setdefault(kind, []).extend(outcomes)
    return verdicts


def sections(verdicts: Verdicts) -> Iterator[tuple[str, list[str]]]:
    """Titles and tables over all tasks, then of each task."""
    tasks = list(dict.fromkeys(each.task for each in verdicts["alone"]))
    for title, wanted in [("All tasks", tasks), *((f"Task {task}", [task]) for task in tasks)]:
        chosen = {
            kind: [each for each in outcomes if each.task in wanted]
            for kind, outcomes in verdicts.items()
        }
        yield from tables_of(title, chosen)


def tables_of(title: str, verdicts: Verdicts) -> Iterator[tuple[str, list[str]]]:
    """The three tables of some verdicts, each with its title."""
    yield f"{title}: clean models that are blocked", clean_table(verdicts)
    yield f"{title}: single-target attacks against clean models", auroc_table(verdicts)
    yield f"{title}: attacks that are blocked for the right class", found_table(verdicts)


def clean_table(verdicts: Verdicts) -> list[str]:
    """Markdown: how many clean models were blocked."""
    return _rows(
        "| judged | clean models | blocked | 95 % interval | inconclusive |",
        {kind: contrasted(outcomes)[0] for kind, outcomes in verdicts.items()},
        lambda each: bool(each.blocked),
    )


def found_table(verdicts: Verdicts) -> list[str]:
    """Markdown: of every attack, and of those with a single target together, how many were blocked
    for the right class.
    """
    met = {each.attack for outcomes in verdicts.values() for each in outcomes}
    attacks = sorted(met - {CLEAN})
    groups = {
        f"all with a single target, {kind}": contrasted(outcomes)[1]
        for kind, outcomes in verdicts.items()
    } | {
        f"{attack}, {kind}": [each for each in outcomes if each.attack == attack]
        for attack in attacks
        for kind, outcomes in verdicts.items()
    }
    return _rows(
        "| attack | models | found | 95 % interval | inconclusive |",
        groups,
        lambda each: each.found,
    )


def auroc_table(verdicts: Verdicts) -> list[str]:
    """Markdown: the AUROC of each kind of verdict, where there are clean and attacked models."""
    lines = ["| judged | clean models | attacked | AUROC | 95 % interval |", "|---" * 5 + "|"]
    for kind, outcomes in verdicts.items():
        clean, attacked = contrasted(outcomes)
        if clean and attacked:
            area, low, high = auroc(outcomes)
            lines.append(
                f"| {_marked(kind, min(len(clean), len(attacked)))} | {len(clean)}"
                f" | {len(attacked)} | {area:.3f} | {low:.3f}–{high:.3f} |"
            )
    return lines


def _rows(
    header: str, groups: dict[str, list[Outcome]], hit: Callable[[Outcome], bool]
) -> list[str]:
    """A row per group that has any model: how many there are, hits and their interval."""
    lines = [header, "|---" * 5 + "|"]
    for name, group in groups.items():
        if group:
            hits = sum(map(hit, group))
            lines.append(
                f"| {_marked(name, len(group))} | {len(group)} | {hits}"
                f" | {interval(hits, len(group))} | {sum(each.inconclusive for each in group)} |"
            )
    return lines


def _marked(name: str, count: int) -> str:
    return f"{name} (too few)" if count < FEWEST else name
