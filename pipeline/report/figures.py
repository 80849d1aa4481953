"""The charts of a report and the triggers it shows as SVG files, for folders and MLflow runs.

The same templates draw them as draw those of `report.html`; these stand on white.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pipeline.atomic_files import write_texts
from pipeline.evidence import ScanResult
from pipeline.report import sections
from pipeline.report.html_page import drawn
from pipeline.report.triggers import triggers

CHARTS = ("anomaly_score_per_class", "success_sweep", "noise_by_layer", "recovered_triggers")
"""The figures there are, by name; each has a template."""


@lru_cache(maxsize=1)  # for a folder and a run alike
def figures(result: ScanResult) -> dict[str, str]:
    """The figures for which the scan has evidence, as SVG by name."""
    found = triggers(result)
    shown = [each for each in found.every if each.pictures] if found else []
    scores, noise = sections.scores(result), sections.noise(result)
    evidence = dict(zip(CHARTS, (scores, noise, noise, shown), strict=True))
    return {
        name: drawn(
            "figure.svg.jinja", result, figure=name, scores=scores, noise=noise, shown=shown
        )
        for name, known in evidence.items()
        if known
    }


def write_figures(result: ScanResult, folder: Path) -> list[Path]:
    """Writes the figures into an existing folder, each in one step; returns their paths."""
    texts = {f"{name}.svg": text for name, text in figures(result).items()}
    write_texts(texts, folder)
    return [folder / name for name in texts]
