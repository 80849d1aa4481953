"""Tells the verdict to the CI job that ban-gate runs in, if it runs in one.

GitHub names two files in environment variables: what is appended to them becomes the job's summary
and the step's outputs. Lines on stderr that begin with `::` become annotations.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from pipeline.ci_formats.checks import Outcome
from pipeline.ci_formats.step_summary import annotation, output_lines, summary_text
from stages.errors import ConfigError

SUMMARY_VARIABLE, OUTPUT_VARIABLE = "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"
ACTIONS_VARIABLE = "GITHUB_ACTIONS"
ROOT_VARIABLES = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")


def root_folder(environment: Mapping[str, str]) -> str:
    """The folder that paths in reports are relative to: the repository's, else the current one."""
    named = (environment.get(name) for name in ROOT_VARIABLES)
    return next(filter(None, named), None) or str(Path.cwd())


def require_writable(environment: Mapping[str, str]) -> None:
    """Raises where the job names a file that cannot be written, so that no scan is in vain.

    Raises:
        ConfigError: it does.
    """
    for variable in (SUMMARY_VARIABLE, OUTPUT_VARIABLE):
        _append(environment, variable, "")


def announce(outcome: Outcome, environment: Mapping[str, str]) -> None:
    """Appends summary and outputs to the job's files, and annotates the model.

    Raises:
        ConfigError: a file cannot be written.
    """
    _append(environment, SUMMARY_VARIABLE, summary_text(outcome))
    _append(environment, OUTPUT_VARIABLE, output_lines(outcome))
    if environment.get(ACTIONS_VARIABLE) == "true":
        click.echo(annotation(outcome), err=True)


def announce_outputs(lines: str, environment: Mapping[str, str]) -> None:
    """Appends outputs to the job's file; the last value of a name is the one that counts.

    Raises:
        ConfigError: the file cannot be written.
    """
    _append(environment, OUTPUT_VARIABLE, lines)


def _append(environment: Mapping[str, str], variable: str, text: str) -> None:
    path = environment.get(variable)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(
            f"`{path}`, named by ${variable}, cannot be written ({error.strerror}); unset the"
            " variable or name a writable file"
        ) from error
