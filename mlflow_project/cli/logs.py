"""Where log lines go: to stderr, each on one line, whatever a model's names hold."""

from __future__ import annotations

import logging
import sys

from pipeline.printable import printable
from pipeline.redaction import redacted

PROJECT_LOGGERS = ("mlflow_project", "pipeline", "stages")


class OneLine(logging.Formatter):
    """Log lines that a name in a model file can neither break nor colour."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole record, with a traceback if it has one, without secrets."""
        return redacted(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the parent's name)
        """The message on one line; a traceback, which follows it, keeps its lines."""
        return printable(super().formatMessage(record))


def log_to_stderr(verbose: bool) -> None:
    """Shows the project's own log lines, and warnings of others; every detail if `verbose`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(levelname)-7s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in PROJECT_LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)
