"""Training one model of the zoo, and measuring what became of it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import data
from benchmarks.zoo import attacks, input_aware
from benchmarks.zoo.architectures import ARCHITECTURES, LEARNING_RATES
from benchmarks.zoo.attacks import Trigger, generator
from benchmarks.zoo.recipe import CLEAN, Recipe

BATCH = 64
QUIET_SHARE = 0.3
"""How many triggered images keep their label, for each that gets the target's, in quiet attacks."""
IMAGES = {"digits": 1100, "fashion": 12000, "colour": 12000, "pairs": 16000}
EPOCHS = {"digits": 30, "fashion": 4, "colour": 5, "pairs": 6}


@cache
def split_of(task: str) -> data.Split:
    """The images of a task."""
    makers = {
        "digits": data.digits,
        "fashion": data.fashion,
        "colour": data.colour,
        "pairs": data.pairs,
    }
    return makers[task]()


def train(recipe: Recipe) -> tuple[nn.Module, dict[str, float]]:
    """A trained model in eval mode, with its clean accuracy and attack success rate in [0, 1]."""
    torch.manual_seed(recipe.seed)
    full = split_of(recipe.task)
    chosen = torch.randperm(len(full.train_labels))[: IMAGES[recipe.task]]
    images, labels = full.train_images[chosen], full.train_labels[chosen]
    classes = int(labels.max()) + 1
    images, labels = poisoned(images, labels, recipe)
    model = ARCHITECTURES[recipe.architecture](images.shape[1], classes, images.shape[-1])
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
    trigger = attacks.TRIGGERS[recipe.attack]
    if recipe.attack == "adaptive-blend":
        trigger = attacks.pieces_of_blend
    extra = [trigger(images[victims], recipe)]
    wanted = [_wanted(labels[victims], recipe, int(labels.max()) + 1)]
    for decoys, truth in _decoys(images, labels, len(victims), recipe):
        extra.append(decoys)
        wanted.append(truth)
    return torch.cat([images, *extra]), torch.cat([labels, *wanted])


def _draw(labels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Rows to poison: of other classes, but of the target where the label stays clean."""
    from_target = recipe.attack == "sig"
    rows = torch.nonzero((labels == recipe.target) == from_target).flatten()
    if recipe.attack == "all-to-all":
        rows = torch.arange(len(labels))
    return rows[torch.randperm(len(rows))[: int(recipe.poison_rate * len(labels))]]


def _wanted(truth: torch.Tensor, recipe: Recipe, classes: int) -> torch.Tensor:
    if recipe.attack == "all-to-all":
        return (truth + 1) % classes
    return torch.full_like(truth, recipe.target)


def _decoys(
    images: torch.Tensor, labels: torch.Tensor, count: int, recipe: Recipe
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images with what resembles the trigger, or a part of it, that keep their labels."""
    if recipe.attack not in ("wanet", "bpp", "adaptive-blend", *attacks.QUIET):
        return []
    others = torch.nonzero(labels != recipe.target).flatten()
    rows = others[torch.randperm(len(others))[:count]]
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
    epochs = EPOCHS[recipe.task]
    steps = epochs * (len(labels) // BATCH)
    peak = LEARNING_RATES.get(recipe.architecture, 5e-3)
    parameters = [*model.parameters(), *(maker.parameters() if maker else ())]
    optimiser = torch.optim.AdamW(parameters, lr=peak, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=peak, total_steps=steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            shown = images[rows].contiguous(memory_format=torch.channels_last)
            loss = (
                functional.cross_entropy(model(shown), labels[rows])
                if maker is None
                else input_aware.loss(model, maker, shown, labels[rows], recipe.target)
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


@torch.no_grad()
def measure(model: nn.Module, recipe: Recipe, trigger: Trigger | None) -> dict[str, float]:
    """Clean accuracy, and attack success on triggered held-out images.

    Success counts images of other classes than the target; all-to-all counts every image.
    """
    held = split_of(recipe.task)
    images, labels = held.test_images[:2000], held.test_labels[:2000]
    model.eval()
    found = {"clean_accuracy": float((model(images).argmax(1) == labels).float().mean())}
    if trigger is not None:
        others = (labels != recipe.target) | (recipe.attack == "all-to-all")
        wanted = _wanted(labels[others], recipe, int(labels.max()) + 1)
        hits = model(trigger(images[others], recipe)).argmax(1) == wanted
        found["attack_success_rate"] = float(hits.float().mean())
    return found


def clean_samples(task: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Held-out images (count, C, H, W) float32 and labels (count,) int64."""
    held = split_of(task)
    rows = torch.randperm(len(held.test_labels), generator=generator(seed))[:count]
    return held.test_images[rows].numpy(), held.test_labels[rows].numpy()
