"""Whether the screen over many classes loses a target, and what it spares.

`python -m benchmarks.many_classes --output FOLDER` trains small nets that tell 100 pairs of digits
apart, clean and backdoored, and scans each with the screen; `--unscreened` also without it, and
`--beside` also beside another clean net of its architecture. Neither the calibration nor any choice
comes from these nets.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.zoo import exporters, training
from benchmarks.zoo.recipe import CLEAN, Recipe
from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.request import ScanRequest
from pipeline.scan import scan
from stages.searches.screen import ScreenConfig

SAMPLES = 600
KINDS = [
    (950, "vgg", CLEAN, 0),
    (951, "mobilenet", CLEAN, 0),
    (952, "vgg", "badnets", 37),
    (953, "vgg", "blend-noise", 4),
    (954, "mobilenet", "blend-picture", 59),
    (955, "vgg", "wanet", 66),
    (960, "resnet", CLEAN, 0),
    (962, "vgg", CLEAN, 0),
    (963, "mobilenet", CLEAN, 0),
    (964, "resnet", CLEAN, 0),
    (965, "vit", CLEAN, 0),
]
RECIPES = [
    Recipe(task="pairs", architecture=architecture, attack=attack, seed=seed, target=target)
    for seed, architecture, attack, target in KINDS
]


def built(recipe: Recipe, folder: Path) -> Path:
    """The recipe's model as a file; trained if it is not there."""
    path = folder / f"{recipe.name}.onnx"
    if not path.exists():
        model, measured = training.train(recipe)
        exporters.traced(model, torch.zeros(2, 1, 32, 32), path)
        click.echo(f"trained {recipe.name}: {measured}")
    return path


def reference_of(recipe: Recipe) -> Recipe | None:
    """Another clean net of the recipe's architecture, if there is one."""
    clean = (each for each in RECIPES if each.attack == CLEAN and each != recipe)
    return next((each for each in clean if each.architecture == recipe.architecture), None)


def row(recipe: Recipe, request: ScanRequest, folder: Path) -> str:
    """Markdown: what a scan says, and its seconds."""
    started = time.perf_counter()
    folder.mkdir(exist_ok=True)
    verdict = scan(request, Store(None), folder).verdict
    seconds = time.perf_counter() - started
    every = "all" if request.config.screen.all_up_to >= 100 else "screened"
    if request.references:
        every = "beside one"
    if verdict.anomaly_score is None:
        return f"| {recipe.name} | {every} | {verdict.label} | – | – | – | {seconds:.0f} |"
    truth = "–" if recipe.attack == CLEAN else str(recipe.target)
    return (
        f"| {recipe.name} | {every} | {verdict.label} | {verdict.leading_class} | {truth}"
        f" | {verdict.anomaly_score:.1f} | {seconds:.0f} |"
    )


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--unscreened", is_flag=True, help="Also search all classes to the end.")
@click.option("--beside", is_flag=True, help="Also scan beside a clean net.")
def main(output: Path, threads: int, *, unscreened: bool, beside: bool) -> None:
    """Train the models that are missing in OUTPUT, and print what scans say."""
    torch.set_num_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    images, labels = training.clean_samples("pairs", SAMPLES, seed=1)
    samples = output / "pairs.npz"
    np.savez(samples, images=images, labels=labels)
    click.echo("| model | classes | verdict | leading | target | anomaly score | seconds |")
    click.echo("|---|---|---|---|---|---|---|")
    for recipe in RECIPES:
        path = built(recipe, output)
        asked = [ScanRequest(model=str(path), samples=samples, uri=path.name)]
        if unscreened:
            every = replace(ScanConfig(), screen=ScreenConfig(all_up_to=100))
            asked.append(replace(asked[0], config=every))
        if beside and (reference := reference_of(recipe)):
            named = str(built(reference, output))
            asked.append(replace(asked[0], references=(named,)))
        for each in asked:
            click.echo(row(recipe, each, output / "workspace"))


if __name__ == "__main__":
    main()
