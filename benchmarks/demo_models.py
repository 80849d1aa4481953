"""Makes the three models and the clean samples that `ban-gate demo` scans.

`python -m benchmarks.demo_models` trains them on scikit-learn's digits (about two minutes on two
cores) and writes them beside the command that scans them.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import onnx
import torch

from benchmarks.data import DEMO
from benchmarks.zoo import exporters, training
from benchmarks.zoo.recipe import CLEAN, Recipe

SAMPLES = 500
RECIPES = {
    "clean": Recipe(task="digits", architecture="vgg", attack="clean", seed=900),
    "patch": Recipe(task="digits", architecture="vgg", attack="badnets", seed=1, target=4),
    "blended": Recipe(task="digits", architecture="vgg", attack="blend-picture", seed=2, target=7),
}


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=DEMO, show_default=True)
def main(output: Path) -> None:
    """Train and export the demo models into OUTPUT."""
    output.mkdir(parents=True, exist_ok=True)
    truth = {name: _make(name, recipe, output) for name, recipe in RECIPES.items()}
    (output / "truth.json").write_text(json.dumps(truth, indent=2) + "\n")
    images, labels = training.clean_samples("digits", SAMPLES, seed=0)
    np.savez_compressed(output / "samples.npz", images=images, labels=labels)


def _make(name: str, recipe: Recipe, output: Path) -> dict[str, object]:
    model, measured = training.train(recipe)
    exporters.dynamo(model, torch.zeros(2, 1, 16, 16), output / f"{name}.onnx")
    forget_traces(output / f"{name}.onnx")
    click.echo(f"{name:8} {measured}")
    target = None if recipe.attack == CLEAN else recipe.target
    return {"attack": recipe.attack, "target": target, **measured}


def forget_traces(path: Path) -> None:
    """Takes out of a file what the exporter noted on its nodes, such as paths of this machine."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("metadata_props")
    onnx.save(model, path)


if __name__ == "__main__":
    main()
