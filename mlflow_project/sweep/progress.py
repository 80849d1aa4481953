"""Says how far a sweep is: a line for each version, with how many there are and the time left."""

from __future__ import annotations

import logging
import time

from pipeline.printable import printable
from pipeline.report.wording import p_text, score_text
from pipeline.sweep.results import Result

logger = logging.getLogger(__name__)


class Progress:
    """Counts results of `total` versions."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()

    def note(self, result: Result) -> None:
        """Logs a result, and about how long the rest takes."""
        self._done += 1
        left = (time.monotonic() - self._started) / self._done * (self._total - self._done)
        logger.info(
            "[%d/%d] %s  %s left", self._done, self._total, line_of(result), _duration(left)
        )


def line_of(result: Result) -> str:
    """A result in one line."""
    said = "; ".join(result.reasons)[:160]
    if result.anomaly_score is not None and result.critical_value is not None:
        level = score_text(result.critical_value)
        p = p_text(result.p_value, result.p_is_bound)
        said = f"score {score_text(result.anomaly_score)} (critical {level}), p {p}"
    what = result.verdict if result.verdict and result.state == "judged" else result.state
    return printable(f"{result.action:<5}  {what:<12}  {result.source}  {said}".rstrip())


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
