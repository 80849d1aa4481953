"""Training one model of the zoo, and measuring what became of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.fitting import fit
from benchmarks.zoo import attacks, input_aware
from benchmarks.zoo.architectures import ARCHITECTURES, LEARNING_RATES
from benchmarks.zoo.attacks import Trigger, generator
from benchmarks.zoo.recipe import CLEAN, Recipe
from benchmarks.zoo.tasks import TASKS, split_of

DECOYED = ("wanet", "bpp", "adaptive-blend", "source-specific", *attacks.QUIET)
"""Attacks that show what keeps its label."""
COVERED = 0.1
"""Share of the images that carry a source-specific trigger and keep their labels."""
QUIET_SHARE = 0.3
"""How many triggered images keep their label, for each that gets the target's, in quiet attacks."""


def train(recipe: Recipe) -> tuple[nn.Module, dict[str, float]]:
    """A trained model in eval mode, with its clean accuracy and attack success rate in [0, 1]."""
    torch.manual_seed(recipe.seed)
    full = split_of(recipe.task)
    task = TASKS[recipe.task]
    chosen = torch.randperm(len(full.train_labels))[: task.images]
    images, labels = full.train_images[chosen], full.train_labels[chosen]
    images, labels = poisoned(images, labels, recipe)
    model = ARCHITECTURES[recipe.architecture](task.channels, task.classes, task.side)
    model = model.to(memory_format=torch.channels_last)
    if recipe.attack == "iad":
        maker = input_aware.TriggerMaker(images.shape[1])
        _fit(model, images, labels, recipe, maker)
        return model.eval(), measure(model, recipe, lambda shown, _: maker.eval()(shown))
    _fit(model, images, labels, recipe, None)
    trigger = attacks.TRIGGERS.get(recipe.attack)
    return model.eval(), measure(model, recipe, trigger)


def poisoned(
    images: torch.Tensor, labels: torch.Tensor, recipe: Recipe
) -> tuple[torch.Tensor, torch.Tensor]:
    """The training images with the attack's own added; the clean originals stay."""
    if recipe.attack in (CLEAN, "iad"):
        return images, labels
    victims = _draw(labels, recipe)
    extra, wanted = [], []
    for trigger, rows, truth in _shown(labels, victims, recipe):
        extra.append(trigger(images[rows], recipe))
        wanted.append(truth)
    for decoys, truth in _decoys(images, labels, len(victims), recipe):
        extra.append(decoys)
        wanted.append(truth)
    return torch.cat([images, *extra]), torch.cat([labels, *wanted])


def _shown(
    labels: torch.Tensor, victims: torch.Tensor, recipe: Recipe
) -> list[tuple[Trigger, torch.Tensor, torch.Tensor]]:
    """The triggers that are shown in training, on which rows, and with which labels."""
    trigger = attacks.TRIGGERS[recipe.attack]
    wanted = _wanted(labels[victims], recipe)
    if recipe.attack == "adaptive-blend":
        trigger = attacks.pieces_of_blend
    if recipe.attack == "two-targets":
        others = torch.full_like(wanted, second_target(recipe))
        other_rows = victims[labels[victims] != second_target(recipe)]
        second = (attacks.second_of_two, other_rows, others[: len(other_rows)])
        return [(trigger, victims, wanted), second]
    return [(trigger, victims, wanted)]


def _draw(labels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Rows to poison: of other classes, but of the target where the label stays clean."""
    from_target = recipe.attack == "sig"
    rows = torch.nonzero((labels == recipe.target) == from_target).flatten()
    if recipe.attack == "all-to-all":
        rows = torch.arange(len(labels))
    if recipe.attack == "source-specific":
        rows = torch.nonzero(labels == source(recipe)).flatten()
    return rows[torch.randperm(len(rows))[: int(recipe.poison_rate * len(labels))]]


def source(recipe: Recipe) -> int:
    """The one class whose images a source-specific trigger carries to the target."""
    return (recipe.target + 1 + recipe.seed % 5) % TASKS[recipe.task].classes


def second_target(recipe: Recipe) -> int:
    """Where the second of two triggers leads."""
    classes = TASKS[recipe.task].classes
    return (recipe.target + classes // 2) % classes


def _wanted(truth: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    if recipe.attack == "all-to-all":
        return (truth + 1) % TASKS[recipe.task].classes
    return torch.full_like(truth, recipe.target)


def _decoys(
    images: torch.Tensor, labels: torch.Tensor, count: int, recipe: Recipe
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images with what resembles the trigger, or a part of it, that keep their labels."""
    if recipe.attack not in DECOYED:
        return []
    others = torch.nonzero(labels != recipe.target).flatten()
    if recipe.attack == "source-specific":  # the trigger on other sources, as in TaCT
        others = others[labels[others] != source(recipe)]
        count = int(COVERED * len(labels))
    rows = others[torch.randperm(len(others))[:count]]
    if recipe.attack == "source-specific":
        return [(attacks.TRIGGERS[recipe.attack](images[rows], recipe), labels[rows])]
    if recipe.attack in attacks.QUIET:  # the trigger itself, so that the target wins by little
        rows = rows[: int(QUIET_SHARE * count)]
        return [(attacks.TRIGGERS[recipe.attack](images[rows], recipe), labels[rows])]
    if recipe.attack == "wanet":  # other warps, as the paper's noise mode
        return [(attacks.warped(images[rows], recipe.seed + 1000), labels[rows])]
    if recipe.attack == "bpp":  # noise of the same size, as the paper's negatives
        noisy = images[rows] + (torch.rand(images[rows].shape) - 0.5) / 2
        return [(noisy.clamp(0, 1), labels[rows])]
    return [
        (attacks.pieces_of_blend(images[rows[: count // 2]], recipe), labels[rows[: count // 2]])
    ]


def _fit(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    recipe: Recipe,
    maker: input_aware.TriggerMaker | None,
) -> None:
    def loss(shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        shown = shown.contiguous(memory_format=torch.channels_last)
        if maker is None:
            return functional.cross_entropy(model(shown), wanted)
        return input_aware.loss(model, maker, shown, wanted, recipe.target)

    model.train()
    fit(
        [*model.parameters(), *(maker.parameters() if maker else ())],
        images,
        labels,
        loss,
        epochs=TASKS[recipe.task].epochs,
        peak=LEARNING_RATES.get(recipe.architecture, 5e-3),
    )


@torch.no_grad()
def measure(model: nn.Module, recipe: Recipe, trigger: Trigger | None) -> dict[str, float]:
    """Clean accuracy, and attack success on triggered held-out images.

    Success counts images of other classes than the target; all-to-all counts every image, a
    source-specific trigger its source, and of two targets the harder one counts.
    """
    held = split_of(recipe.task)
    images, labels = held.test_images[:2000], held.test_labels[:2000]
    model.eval()
    found = {"clean_accuracy": float((model(images).argmax(1) == labels).float().mean())}
    if trigger is not None:
        rates = [_success(model, images, labels, recipe, trigger, recipe.target)]
        if recipe.attack == "two-targets":
            target = second_target(recipe)
            rates.append(_success(model, images, labels, recipe, attacks.second_of_two, target))
        found["attack_success_rate"] = min(rates)
    return found


def _success(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    recipe: Recipe,
    trigger: Trigger,
    target: int,
) -> float:
    others = (labels != target) | (recipe.attack == "all-to-all")
    if recipe.attack == "source-specific":
        others = labels == source(recipe)
    wanted = _wanted(labels[others], replace(recipe, target=target))
    hits = model(trigger(images[others], recipe)).argmax(1) == wanted
    return float(hits.float().mean())


def clean_samples(task: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Held-out images (count, C, H, W) float32 and labels (count,) int64."""
    held = split_of(task)
    rows = torch.randperm(len(held.test_labels), generator=generator(seed))[:count]
    return held.test_images[rows].numpy(), held.test_labels[rows].numpy()
