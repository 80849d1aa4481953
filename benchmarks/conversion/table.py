"""Rows as tables for a reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.conversion.case import Row

_HEAD = (
    "| model | exporter | opset | outcome | parity | fresh | trainable | sites | gradients | s |"
    " reason |"
)
_SUMMARY = (
    "| family | OK / tried | refused rightly | silent mismatches | not exported | no sites | s |"
)


def line(row: Row) -> str:
    """The row as one line of a Markdown table."""
    cells = [
        row.model,
        row.exporter,
        "–" if row.opset is None else str(row.opset),
        row.outcome if row.is_right else row.outcome.upper(),
        _number(row.parity),
        _number(row.fresh),
        "–" if row.share is None else f"{row.share:.4f}",
        "–" if row.sites is None else str(row.sites),
        "–" if row.gradients is None else f"{row.gradients:.2f}",
        f"{row.export_seconds:.1f} + {row.seconds:.1f}",
        row.reason.replace("|", "/"),
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


def table(rows: Iterable[Row]) -> Iterator[str]:
    """A table per family; seconds are those of the export and those of the pipeline."""
    rows = list(rows)
    for family in dict.fromkeys(row.family for row in rows):
        yield from ("", f"{family}:", "", _HEAD, "|" + "---|" * _HEAD.count(" | ") + "---|")
        yield from (line(row) for row in rows if row.family == family)


def summary(rows: Iterable[Row]) -> Iterator[str]:
    """One line per family, and one for all.

    Tried are the files that were there and must pass; those that must be refused stand apart. Of
    those that are OK, some have no place for noise, so that a scan cannot judge them.
    """
    rows = list(rows)
    yield from (_SUMMARY, "|---|---|---|---|---|---|---|")
    for family in dict.fromkeys(row.family for row in rows):
        yield _sum(family, [row for row in rows if row.family == family])
    yield _sum("all", rows)


def _sum(family: str, rows: list[Row]) -> str:
    there = [row for row in rows if row.outcome not in ("not exported", "not tried")]
    if rows and all(row.outcome == "not tried" for row in rows):
        return f"| {family} | not tried | – | – | – | – | – |"
    wanted = [row for row in there if not row.refusal]
    unwanted = [row for row in there if row.refusal]
    cells = [
        f"{sum(row.is_right for row in wanted)} / {len(wanted)}",
        f"{sum(row.is_right for row in unwanted)} / {len(unwanted)}" if unwanted else "–",
        str(sum(row.outcome == "mismatch" for row in rows)),
        str(sum(row.outcome == "not exported" for row in rows)),
        str(sum(row.is_right and row.sites == 0 for row in wanted)),
        f"{sum(row.export_seconds + row.seconds for row in rows):.0f}",
    ]
    return f"| {family} | {' | '.join(cells)} |"
