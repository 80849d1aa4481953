"""Whether brief looks lose a target among 100 classes when the hopeful alone go on after the first
step.

`python -m benchmarks.looks --output FOLDER` trains nets that tell 100 pairs of digits apart, each
with a backdoor, and takes both kinds of look at each. How many classes of a look are searched, and
what a patch's look shows, were chosen by these nets.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch

from benchmarks.many_classes import SAMPLES, built
from benchmarks.speed import timed
from benchmarks.zoo import training
from benchmarks.zoo.recipe import Recipe
from stages.searches import SEARCHES
from stages.searches.screen import ScreenConfig, leading, look, look_portions
from stages.searches.search import Search, Subject
from stages.types import Floats, Integers

KINDS = [
    ("vgg", "badnets", 12),
    ("resnet", "badnets", 88),
    ("mobilenet", "blend-noise", 41),
    ("resnet", "wanet", 5),
    ("vgg", "filter", 66),
    ("resnet", "photograph", 23),
    ("mobilenet", "sticker", 77),
    ("vgg", "art-pattern", 50),
    ("resnet", "blend-picture", 9),
    ("mobilenet", "badnets", 61),
    ("vgg", "low-frequency", 34),
    ("resnet", "filter", 95),
]
RECIPES = [
    Recipe(task="pairs", architecture=architecture, attack=attack, seed=970 + place, target=target)
    for place, (architecture, attack, target) in enumerate(KINDS)
]


def subject_of_file(path: Path, samples: Path) -> Subject:
    """What the searches look at."""
    with TemporaryDirectory() as folder:
        return timed(path, samples, Path(folder)).searched


def whole(search: Search, subject: Subject, classes: Integers) -> Floats:
    """What the classes (n,) reach where all of them go to the end of the look."""
    config = search.settings().brief
    state = search.start(subject, config, 0)
    state = search.advance(state, torch.from_numpy(classes), config.steps)
    reached: Floats = search.reached(state)[classes]
    return reached


def shipped(search: Search, subject: Subject, classes: Integers) -> Floats:
    """What the classes (n,) reach by the look of a scan."""
    return look(search, subject, search.settings().brief, classes, 0).reached


def row(recipe: Recipe, subject: Subject) -> str:
    """Markdown: the target's rank among all classes in each look, without and with leaving."""
    cells, found = [], []
    for take in (whole, shipped):
        ranks, searched = [], set()
        for search in SEARCHES:
            portions = look_portions(search, search.settings(), subject.twin.classes)
            if not portions:
                continue
            reached = np.concatenate([take(search, subject, each) for each in portions])
            ranks.append(int((reached > reached[recipe.target]).sum()) + 1)
            searched |= set(leading(reached, ScreenConfig().leading))
        chosen = "yes" if recipe.target in searched else "no"
        found.append(f"{chosen}, {ranks.count(1)} of {len(ranks)}")
        cells.append(str(len(searched)))
    return f"| {recipe.architecture}, {recipe.attack} | {' | '.join(found)} | {' | '.join(cells)} |"


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--threads", type=int, default=1, show_default=True)
def main(output: Path, threads: int) -> None:
    """Train the nets that are missing in OUTPUT, and print where their targets come."""
    torch.set_num_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    images, labels = training.clean_samples("pairs", SAMPLES, seed=1)
    samples = output / "pairs.npz"
    np.savez(samples, images=images, labels=labels)
    click.echo(
        "| net | chosen, looks it leads: all go on | as shipped | leaders: all | as shipped |"
    )
    click.echo("|---|---|---|---|---|")
    for recipe in RECIPES:
        click.echo(row(recipe, subject_of_file(built(recipe, output), samples)))


if __name__ == "__main__":
    main()
