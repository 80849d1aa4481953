"""How the scans of several models are told: a line each as it comes, a table, one exit code."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mlflow_project.cli.exit_codes import EXIT_CODES, code_of, worst
from pipeline.printable import printable
from stages.errors import BanGateError

if TYPE_CHECKING:
    from mlflow_project.commands import ScanCall
    from mlflow_project.several import Judged


def scan_several(call: ScanCall, models: Sequence[str], *, as_json: bool, exit_zero: bool) -> int:
    """Scans all models as `call` says, and gives the exit code of the worst.

    stdout gets a table at the end, also of those that were done when it is interrupted; or, as
    JSON, one line per model as soon as it is judged.
    """
    from mlflow_project import several  # noqa: PLC0415 (heavy: see `main`)

    folders = several.folders_for(models, call.output)
    calls = [
        several.as_one_of_several(call, model, folder)
        for model, folder in zip(models, folders, strict=True)
    ]
    judged: list[Judged] = []
    try:
        several.scan_each(calls, _show_json if as_json else _show, judged)
    finally:
        if judged and not as_json:
            click.echo(several.table(judged), nl=False)
    return worst([_code(each, exit_zero=exit_zero) for each in judged])


def _code(each: Judged, *, exit_zero: bool) -> int:
    if each.error is not None:
        return code_of(each.error)
    assert each.result is not None, "it has one or the other"  # noqa: S101 (our own logic)
    return 0 if exit_zero else EXIT_CODES[each.result.verdict.label]


def _show(each: Judged) -> None:
    """The verdict on stderr, or why there is none."""
    from pipeline.report.verdict_json import summary  # noqa: PLC0415 (heavy: see `main`)

    if each.result is not None:
        click.echo(summary(each.result), err=True)
    if each.error is not None:
        _show_error(each.error)


def _show_json(each: Judged) -> None:
    from pipeline.report.verdict_json import verdict_document  # noqa: PLC0415 (see `main`)

    if each.error is not None:
        _show_error(each.error)
        document: dict[str, object] = {
            "verdict": None,
            "model": {"uri": each.call.uri},
            "error": printable(str(each.error)),
            "exit_code": code_of(each.error),
        }
    else:
        assert each.result is not None, "it has one or the other"  # noqa: S101 (our own logic)
        document = verdict_document(each.result)
    click.echo(json.dumps(document, allow_nan=False))
    sys.stdout.flush()


def _show_error(error: Exception) -> None:
    if isinstance(error, BanGateError):
        click.echo(printable(f"ban-gate: {error}"), err=True)
        return
    traceback.print_exception(error)
    click.echo("ban-gate: internal error, please report it with this traceback", err=True)
