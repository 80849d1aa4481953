"""A sweep as one page for people, without scripts, quick with thousands of rows.

The rows stand in several tables, which a browser lays out only when they come into view.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import FileSystemLoader
from markupsafe import Markup

from pipeline.report import html_page
from pipeline.sweep.rows import Row, Sweep

TEMPLATES = Path(__file__).parent / "html"
ROWS_PER_TABLE = 100
LONGEST_REASON = 400  # characters


def render(sweep: Sweep) -> str:
    """The page: what was judged, what it means together, and all versions ranked."""
    style = Markup(  # noqa: S704 (our files)
        (html_page.TEMPLATES / "report.css").read_text(encoding="utf-8")
        + (TEMPLATES / "sweep.css").read_text(encoding="utf-8")
    )
    environment = html_page.environment().overlay(loader=FileSystemLoader(TEMPLATES))
    return environment.get_template("sweep.html.jinja").render(
        sweep=sweep,
        head=sweep.plan.head,
        parts=list(_parts(sweep.rows)),
        reason=_reason,
        style=style,
        style_digest=html_page.policy_digest(style),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _parts(rows: tuple[Row, ...]) -> Iterator[tuple[int, tuple[Row, ...]]]:
    """The rows in parts, each with the rank of its first."""
    for start in range(0, len(rows), ROWS_PER_TABLE):
        yield start + 1, rows[start : start + ROWS_PER_TABLE]


def _reason(row: Row) -> str:
    text = "; ".join(row.result.reasons)
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"
