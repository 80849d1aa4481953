"""The files of a sweep's report, by name."""

from __future__ import annotations

from pipeline.sweep.formats import junit_text, sarif_text
from pipeline.sweep.page import render
from pipeline.sweep.rows import Sweep, json_lines


def report_texts(sweep: Sweep) -> dict[str, str]:
    """The page for people, JSON lines for programs, JUnit and SARIF for CI systems."""
    return {
        "report.html": render(sweep),
        "report.jsonl": json_lines(sweep),
        "junit.xml": junit_text(sweep),
        "sweep.sarif": sarif_text(sweep),
    }
