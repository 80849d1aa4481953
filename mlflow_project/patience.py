"""An outage is waited out for a while, with longer and longer pauses of random length."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import tenacity

from mlflow_project.errors import PlaceError
from mlflow_project.foreign_errors import foreign
from stages.errors import ConfigError

VARIABLE = "BAN_GATE_PATIENCE"
SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0  # seconds

Given = ParamSpec("Given")
Found = TypeVar("Found")

logger = logging.getLogger(__name__)


def patience() -> float:
    """Seconds after the first failure in which something that is away is asked again.

    Raises:
        ConfigError: the variable holds no such number.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"`{VARIABLE}` is {text!r}, expected seconds, 0 or more")
    return seconds


def patiently(call: Callable[Given, Found], *arguments: Given.args, **named: Given.kwargs) -> Found:
    """What a call gives that may be made twice; an outage in it is waited out.

    Whatever else it raises, and an outage that goes on, is raised as it is.
    """
    tries = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_outage),
        stop=tenacity.stop_after_delay(patience()),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
        before_sleep=_tell,
        reraise=True,
    )
    return tries(call, *arguments, **named)


def is_outage(error: BaseException) -> bool:
    """Whether the same may succeed later, without anything being changed."""
    if isinstance(error, PlaceError):
        return error.outage
    found = foreign(error)
    return found is not None and found.outage


def _tell(state: tenacity.RetryCallState) -> None:
    pause = state.next_action.sleep if state.next_action else 0.0
    error = state.outcome.exception() if state.outcome else None
    found = foreign(error) if error else None
    reason = found.reason if found else error
    logger.warning("no answer (%s); asked again in %.0f s", reason, pause)
