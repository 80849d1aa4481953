"""The exit code of every outcome, and the one place where failures become exits."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from mlflow_project.errors import ClusterError, Ended, RegistryError, TrackingError
from mlflow_project.foreign_errors import foreign
from pipeline.printable import printable
from pipeline.redaction import redacted
from stages.errors import BanGateError, CannotJudge, ConfigError

EXIT_CODES: dict[str | type[BaseException], int] = {
    "clean": 0,
    "backdoored": 1,
    "inconclusive": 3,
    ConfigError: 2,
    CannotJudge: 3,
    TrackingError: 4,
    RegistryError: 4,
    ClusterError: 4,
    Exception: 70,
    KeyboardInterrupt: 130,
}
"""By verdict, or by the nearest ancestor of an exception's type."""
WORST_FIRST = (1, 3, 4, 70, 2, 0)
"""Of several models the first of these that any of them has: a model that is known to be bad counts
more than one that is not known, and that more than a failure that says nothing of it.
"""
OF_SIGNALS = 128
"""Plus its number: the code where a signal asked the process to end, 143 for SIGTERM."""


@contextmanager
def failures_as_exits() -> Iterator[None]:
    """Ends the process with the failure's code: one sentence if it is explained, else a traceback.

    Click's own exits pass through; its usage errors are 2.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except BanGateError as error:
        click.echo(printable(f"ban-gate: {error}"), err=True)
        sys.exit(code_of(error))
    except KeyboardInterrupt as error:
        click.echo(f"ban-gate: interrupted; {_told(error)}", err=True)
        sys.exit(code_of(error))
    except Ended as error:
        click.echo(f"ban-gate: ended by {error}; {_told(error)}", err=True)
        sys.exit(OF_SIGNALS + error.number)
    except Exception as error:  # noqa: BLE001 (the only one: whatever is left is our own fault)
        if (found := foreign(error)) and found.disk:
            click.echo(printable(f"ban-gate: {found.reason}; {found.advice}"), err=True)
            sys.exit(EXIT_CODES[ConfigError])
        click.echo(redacted(traceback.format_exc()), err=True, nl=False)
        click.echo("ban-gate: internal error, please report it with this traceback", err=True)
        sys.exit(code_of(error))


def worst(codes: Iterable[int]) -> int:
    """The exit code of several models; 0 of none."""
    return min(codes, key=WORST_FIRST.index, default=0)


def _told(ending: BaseException) -> str:
    """What the scan that was ended says of the next call."""
    return "; ".join(getattr(ending, "__notes__", ())) or "nothing was judged"


def code_of(error: BaseException) -> int:
    """The exit code of a failure."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
