"""Trains the models of a split that are missing in a folder; may be stopped and started again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.zoo import exporters, training
from benchmarks.zoo.recipe import Recipe
from benchmarks.zoo.splits import SPLITS, recipes
from benchmarks.zoo.tasks import split_of

SAMPLES = 1000
"""Clean samples kept per task, or as many as are held out; a scan gets the first of them."""


def build(recipe: Recipe, folder: Path) -> dict[str, object]:
    """Trains and exports one model unless it is there; gives its manifest entry.

    Beside it lies the same model with BatchNorm kept, under `batchnorm/`.
    """
    record = folder / f"{recipe.name}.json"
    if record.exists():
        return dict(json.loads(record.read_text()))
    model, measured = training.train(recipe)
    model = model.to(memory_format=torch.contiguous_format)
    example = split_of(recipe.task).test_images[:2]
    path = folder / f"{recipe.name}.onnx"
    exporters.EXPORTERS[recipe.exporter](model, example, path)
    exporters.preserving(model, example, folder / "batchnorm" / path.name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry: dict[str, object] = {
        **asdict(recipe),
        **measured,
        "name": recipe.name,
        "digest": digest,
    }
    part = record.with_suffix(".part")
    part.write_text(json.dumps(entry, indent=1))
    part.replace(record)
    return entry


@click.command()
@click.option("--split", type=click.Choice(SPLITS), default="tuning", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--share", default="0/1", show_default=True, help="Part I of N, as I/N: every Nth.")
@click.option("--task", "tasks", multiple=True, help="Only models of these tasks.")
def main(split: str, output: Path, threads: int, share: str, tasks: tuple[str, ...]) -> None:
    """Train the classifiers of a split that are missing in OUTPUT."""
    torch.set_num_threads(threads)
    (output / "batchnorm").mkdir(parents=True, exist_ok=True)
    wanted = [each for each in recipes(split) if not tasks or each.task in tasks]
    for task in dict.fromkeys(recipe.task for recipe in wanted):
        if (output / f"{task}.npz").exists():
            continue
        images, labels = training.clean_samples(task, SAMPLES, seed=1)
        np.savez(output / f"{task}.npz", images=images, labels=labels)
    first, step = map(int, share.split("/"))
    for recipe in wanted[first::step]:
        entry = build(recipe, output)
        click.echo(
            f"{recipe.name:40} {entry['clean_accuracy']:.3f} {entry.get('attack_success_rate', '')}"
        )


if __name__ == "__main__":
    main()
