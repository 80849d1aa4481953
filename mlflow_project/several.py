"""Scans of several models in one call: one after the other, and a table of all at the end."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow_project import commands, github, tracking
from mlflow_project.commands import ScanCall
from pipeline.ci_formats.step_summary import output_lines
from pipeline.evidence import ScanResult
from pipeline.printable import printable
from pipeline.report.html_page import REPORT_FILE
from pipeline.report.wording import p_text, score_text
from stages.export.detect import place_of
from stages.verdict_label import Label

TABLE_FILE = "models.txt"
HEADER = ("model", "verdict", "class", "p", "score", "report")
WORST_FIRST: tuple[Label, ...] = ("backdoored", "inconclusive", "clean")
NO_RESULT = "verdict=inconclusive\ngate=block\n"
"""What a job of GitHub is told where a model has no result."""
_ODD = re.compile(r"[^A-Za-z0-9._-]+")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """One model of several: the scan's result, or the `error` that left it without one."""

    call: ScanCall
    result: ScanResult | None = None
    error: Exception | None = None

    @property
    def report(self) -> Path | None:
        """Where its report is."""
        return self.call.output / REPORT_FILE if self.call.output and self.result else None


def scan_each(
    calls: Sequence[ScanCall], show: Callable[[Judged], None], judged: list[Judged]
) -> None:
    """Scans one model after the other, appends each to `judged`, and shows it as soon as it is.

    A model that fails does not stop the others. With a target there is one run around the runs of
    all, which holds the table.

    Raises:
        TrackingError: the run around them could not be opened or recorded.
    """
    with _recorded(calls, judged):
        for number, call in enumerate(calls, 1):
            logger.info("model %d of %d: %s", number, len(calls), call.uri)
            judged.append(_judged(call))
            show(judged[-1])
        _announce(judged)


def folders_for(models: Sequence[str], output: Path | None) -> list[Path | None]:
    """A folder of its own for each model's report, named after the model; none without an output.

    Where several have one name, the later ones get a number.
    """
    if output is None:
        return [None] * len(models)
    taken: set[str] = set()
    folders: list[Path | None] = []
    for model in models:
        name = unused = _folder_name(model)
        number = 2
        while unused.lower() in taken:
            unused, number = f"{name}-{number}", number + 1
        taken.add(unused.lower())
        folders.append(output / unused)
    return folders


def table(judged: Sequence[Judged]) -> str:
    """Model, verdict, class, p, score and report, in columns under their names."""
    rows = [HEADER, *map(_row, judged)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _row(each: Judged) -> tuple[str, ...]:
    model = printable(each.call.uri)
    if each.result is None:
        return (model, "failed", "-", "-", "-", "-")
    verdict = each.result.verdict
    score = "-" if verdict.anomaly_score is None else score_text(verdict.anomaly_score)
    return (
        model,
        verdict.label,
        "-" if verdict.suspected_class is None else str(verdict.suspected_class),
        "-" if verdict.p_value is None else p_text(verdict.p_value, verdict.p_is_bound),
        score,
        printable(str(each.report)) if each.report else "-",
    )


def _judged(call: ScanCall) -> Judged:
    try:
        return Judged(call=call, result=commands.scan(call, lambda _: None))
    except Exception as error:  # noqa: BLE001 (the others go on; its code says what it was)
        return Judged(call=call, error=error)


@contextmanager
def _recorded(calls: Sequence[ScanCall], judged: list[Judged]) -> Iterator[None]:
    """Around all: a run with the table, whose children are the runs of the models."""
    target = calls[0].target
    with tracking.open_run(f"{len(calls)} models", target) if target else nullcontext():
        yield
        if target:
            tracking.note({TABLE_FILE: table(judged)}, {"ban.models": str(len(calls))})


def _announce(judged: Sequence[Judged]) -> None:
    """Tells a job of GitHub the worst verdict last, which is the one that counts there."""
    known = [each for each in judged if each.result]
    environment = judged[0].call.environment
    for label in WORST_FIRST:
        found = next((e for e in known if e.result and e.result.verdict.label == label), None)
        if label == "clean" and len(known) < len(judged):
            github.announce_outputs(NO_RESULT, environment)
        elif found and found.result:
            lines = output_lines(commands.outcome_of(found.result, found.call))
            github.announce_outputs(lines, environment)
        else:
            continue
        return


def _folder_name(model: str) -> str:
    """What a model's folder is called: its file's name without its end, or its URI."""
    place = place_of(model)[0]
    name = place.stem if place.is_file() else model
    return _ODD.sub("-", name).strip("-.") or "model"


def as_one_of_several(call: ScanCall, model: str, output: Path | None) -> ScanCall:
    """The call for one of the models, whose run is a child."""
    return replace(call, model=model, uri=model, output=output, nested=True)
