"""Builds the corpus, judges every file and prints what became of it.

`python -m benchmarks.conversion --output FOLDER` goes on where an earlier run into the same folder
ended: files that are there are not made again, and rows of `results.jsonl` are not judged again.
A file is OK if the pipeline's own parity gate passes and at least 99 % of its weights are
trainable. A silent mismatch is a file that the gate accepts although its twin differs from it on
other images. Capitals in the table mark what is not as expected.
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import click
import torch

from benchmarks.conversion import table
from benchmarks.conversion.case import Case, Row, read_rows
from benchmarks.conversion.corpus import Outside, corpus
from benchmarks.conversion.run import try_case

INTERPRETER = click.Path(exists=True, dir_okay=False, path_type=Path)


def chosen(cases: list[Case], only: str, families: str) -> list[Case]:
    """The cases whose name fits the pattern, in the families of the comma-separated beginnings."""
    starts = tuple(families.split(","))
    return [one for one in cases if fnmatch(one.name, only) and one.family.startswith(starts)]


def run(cases: list[Case], folder: Path, *, again: bool) -> list[Row]:
    """The rows of all cases; each is printed and kept in the folder as soon as it is there."""
    store = folder / "results.jsonl"
    known = {} if again else read_rows(store)
    rows = []
    for case in cases:
        row = known.get(case.name)
        if row is None or row.outcome == "not tried":
            row = try_case(case, folder)
            click.echo(table.line(row))
            with store.open("a") as lines:
                lines.write(row.to_json() + "\n")
        rows.append(row)
    return rows


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--only", default="*", show_default=True, help="Pattern for family/model/exporter.")
@click.option("--families", default="", help="Beginnings of family names, separated by commas.")
@click.option("--again", is_flag=True, help="Judge files again that have a row already.")
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--python-tensorflow", type=INTERPRETER, help="Has TensorFlow, Keras and tf2onnx.")
@click.option("--python-jax", type=INTERPRETER, help="Has JAX, Flax and jax2onnx.")
@click.option("--python-paddle", type=INTERPRETER, help="Has Paddle and paddle2onnx.")
def main(
    output: Path, only: str, families: str, again: bool, threads: int, **interpreters: Path | None
) -> None:
    """Export real models, judge every file and print a table per family and a summary."""
    torch.set_num_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    outside = Outside(**{name.removeprefix("python_"): path for name, path in interpreters.items()})
    rows = run(chosen(list(corpus(outside)), only, families), output, again=again)
    click.echo("\n".join(table.table(rows)))
    click.echo("\n" + "\n".join(table.summary(rows)))


if __name__ == "__main__":
    main()
