"""What was measured of each model of a zoo, as one file that is kept with the project.

`python -m benchmarks.measured --zoo FOLDER --output benchmarks/measured/NAME.jsonl` collects the
recipe, what became of the model, its digest and its statistics, one model a line, with those by
further seeds where its verdict is near the limit. Calibration and
every table of results rebuild from these files without training anything.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from benchmarks.profiles import SAMPLES, Known, counted, further_places, place_of, read_line
from pipeline.atomic_files import write_text

FOLDER = Path(__file__).parent / "measured"
DIGITS = 5
"""Digits of a statistic that are kept."""


def line(truth: dict[str, object], places: list[Path]) -> str:
    """One model: its record, and its class profiles with the settings they were measured by."""
    profiles = [_short(json.loads(place.read_text(encoding="utf-8"))) for place in places]
    return json.dumps({"truth": truth, "profiles": profiles}, separators=(",", ":"))


def _short(document: dict[str, Any]) -> dict[str, Any]:
    """A profile with fewer digits."""
    for each in document["models"]:
        each["statistics"] = {
            name: [None if value is None else float(f"{value:.{DIGITS}g}") for value in values]
            for name, values in each["statistics"].items()
        }
    return document


def read(path: Path) -> list[Known]:
    """The models of a file, in its order."""
    return [read_line(each) for each in path.read_text(encoding="utf-8").splitlines()]


@click.command()
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--samples", type=int, default=SAMPLES, show_default=True)
def main(zoo: Path, output: Path, seed: int, samples: int) -> None:
    """Write what was measured of the models of ZOO."""
    found = [
        line(truth, [place, *further_places(place, seed)])
        for truth in counted(zoo)
        if (place := place_of(zoo, str(truth["name"]), seed, samples)).exists()
    ]
    output.parent.mkdir(exist_ok=True)
    write_text(output, "\n".join(found) + "\n")
    click.echo(f"wrote {output}, {len(found)} models")


if __name__ == "__main__":
    main()
