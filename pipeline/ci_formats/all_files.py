"""The files of a scan for CI systems, beside `verdict.json`."""

from __future__ import annotations

from pipeline.ci_formats.bill_of_materials import BOM_FILE, bom_text
from pipeline.ci_formats.checks import Outcome
from pipeline.ci_formats.junit import JUNIT_FILE, junit_text
from pipeline.ci_formats.sarif import SARIF_FILE, sarif_text
from pipeline.ci_formats.step_summary import SUMMARY_FILE, summary_text


def output_texts(outcome: Outcome) -> dict[str, str]:
    """The text of every file by its name: JUnit, SARIF, Markdown and CycloneDX."""
    return {
        JUNIT_FILE: junit_text(outcome),
        SARIF_FILE: sarif_text(outcome),
        SUMMARY_FILE: summary_text(outcome),
        BOM_FILE: bom_text(outcome),
    }
