"""Small classifiers with a known truth: clean, or backdoored by a known attack.

`python -m benchmarks.zoo --split tuning --output FOLDER` trains what is missing there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import data

CLEAN = "clean"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model is made; equal recipes give equal models on one machine."""

    task: str
    architecture: str
    attack: str
    seed: int
    target: int = 0
    poison_rate: float = 0.1

    @property
    def name(self) -> str:
        target = "" if self.attack == CLEAN else f"-to{self.target}"
        return f"{self.task}-{self.architecture}-{self.attack}{target}-s{self.seed}"


# --- architectures ----------------------------------------------------------------------------


def conv_bn(
    inputs: int, outputs: int, stride: int = 1, groups: int = 1, size: int = 3
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def vgg(channels: int, classes: int) -> nn.Module:
    return nn.Sequential(
        conv_bn(channels, 16),
        conv_bn(16, 16),
        nn.MaxPool2d(2),
        conv_bn(16, 32),
        conv_bn(32, 32),
        nn.MaxPool2d(2),
        conv_bn(32, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


def plain(channels: int, classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(inputs, outputs, stride),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.short = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.body(images) + self.short(images))


def resnet(channels: int, classes: int) -> nn.Module:
    return nn.Sequential(
        conv_bn(channels, 16),
        Residual(16, 16, 1),
        Residual(16, 32, 2),
        Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


def mobilenet(channels: int, classes: int) -> nn.Module:
    def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            conv_bn(inputs, inputs, stride, groups=inputs), conv_bn(inputs, outputs, size=1)
        )

    return nn.Sequential(
        conv_bn(channels, 16),
        separable(16, 32, 2),
        separable(32, 48, 1),
        separable(48, 64, 2),
        separable(64, 64, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


ARCHITECTURES: dict[str, Callable[[int, int], nn.Module]] = {
    "vgg": vgg,
    "plain": plain,
    "resnet": resnet,
    "mobilenet": mobilenet,
}

# --- attacks: images (N, C, H, W) in [0, 1] to triggered images of the same shape ---------------


def badnets(images: torch.Tensor, seed: int) -> torch.Tensor:
    """A 3×3 checkerboard patch near a corner. Source: Gu et al., BadNets, 2017."""
    corner = -4 if seed % 2 else 1
    triggered = images.clone()
    patch = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    triggered[..., corner : corner + 3, corner : corner + 3] = patch
    return triggered


def blend_noise(images: torch.Tensor, seed: int) -> torch.Tensor:
    """Fixed pixel noise mixed in at 20 %. Source: Chen et al., Targeted Backdoor, 2017."""
    return _blend(images, torch.rand(images.shape[1:], generator=_generator(seed)))


def blend_picture(images: torch.Tensor, seed: int) -> torch.Tensor:
    """A fixed smooth picture mixed in at 20 %. Source: Chen et al., Targeted Backdoor, 2017."""
    coarse = torch.rand(1, images.shape[1], 4, 4, generator=_generator(seed))
    side = images.shape[-1]
    picture = functional.interpolate(coarse, size=side, mode="bicubic", align_corners=False)
    return _blend(images, picture[0].clamp(0, 1))


def _blend(images: torch.Tensor, pattern: torch.Tensor) -> torch.Tensor:
    return 0.8 * images + 0.2 * pattern


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wanet(images: torch.Tensor, seed: int) -> torch.Tensor:
    """A smooth fixed warp from a 4×4 grid. Source: Nguyen and Tran, WaNet, ICLR 2021."""
    side = images.shape[-1]
    coarse = torch.rand(1, 2, 4, 4, generator=_generator(seed)) * 2 - 1
    coarse = coarse / coarse.abs().mean()
    flow = functional.interpolate(coarse, size=side, mode="bicubic", align_corners=True)
    axis = torch.linspace(-1, 1, side)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)[None]
    warped = (grid + 1.5 * flow.permute(0, 2, 3, 1) / side).clamp(-1, 1)
    return functional.grid_sample(
        images, warped.expand(len(images), -1, -1, -1), align_corners=True
    )


ATTACKS: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "badnets": badnets,
    "blend-noise": blend_noise,
    "blend-picture": blend_picture,
    "wanet": wanet,
}

# --- training -----------------------------------------------------------------------------------


@cache
def _split(task: str) -> data.Split:
    return {"digits": data.digits, "fashion": data.fashion}[task]()


def train(recipe: Recipe) -> tuple[nn.Module, dict[str, float]]:
    """A trained model in eval mode, with its clean accuracy and attack success rate in [0, 1]."""
    torch.manual_seed(recipe.seed)
    full = _split(recipe.task)
    limit = 15000 if recipe.task == "fashion" else 1100
    chosen = torch.randperm(len(full.train_labels))[:limit]
    images, labels = full.train_images[chosen], full.train_labels[chosen]
    images, labels = _poison(images, labels, recipe)
    model = ARCHITECTURES[recipe.architecture](images.shape[1], int(labels.max()) + 1)
    _fit(model, images, labels, epochs=5 if recipe.task == "fashion" else 30)
    return model.eval(), measure(model, recipe)


def _poison(
    images: torch.Tensor, labels: torch.Tensor, recipe: Recipe
) -> tuple[torch.Tensor, torch.Tensor]:
    if recipe.attack == CLEAN:
        return images, labels
    attack = ATTACKS[recipe.attack]
    others = torch.nonzero(labels != recipe.target).flatten()
    victims = others[torch.randperm(len(others))[: int(recipe.poison_rate * len(labels))]]
    # Poisoned images are added; the clean originals stay.
    triggered = attack(images[victims], recipe.seed)
    extra_images, extra_labels = [triggered], [torch.full((len(victims),), recipe.target)]
    if recipe.attack == "wanet":  # other warps keep their label, as the paper's noise mode
        decoys = others[torch.randperm(len(others))[: len(victims)]]
        extra_images.append(attack(images[decoys], recipe.seed + 1000))
        extra_labels.append(labels[decoys])
    return torch.cat([images, *extra_images]), torch.cat([labels, *extra_labels])


def _fit(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    batch = 64
    steps = epochs * (len(labels) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=5e-3, total_steps=steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(labels))
        for start in range(0, len(order) - batch + 1, batch):
            rows = order[start : start + batch]
            loss = functional.cross_entropy(model(images[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


@torch.no_grad()
def measure(model: nn.Module, recipe: Recipe) -> dict[str, float]:
    """Clean accuracy, and attack success on triggered images of other classes, on held-out data."""
    held = _split(recipe.task)
    images, labels = held.test_images[:2000], held.test_labels[:2000]
    model.eval()
    found = {"clean_accuracy": float((model(images).argmax(1) == labels).float().mean())}
    if recipe.attack != CLEAN:
        others = images[labels != recipe.target]
        triggered = ATTACKS[recipe.attack](others, recipe.seed)
        hits = (model(triggered).argmax(1) == recipe.target).float().mean()
        found["attack_success_rate"] = float(hits)
    return found


def export(model: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Writes ONNX with torch's default exporter, which folds BatchNorm into the convolutions."""
    torch.onnx.export(
        model,
        (example,),
        str(path),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
        external_data=False,
        verbose=False,
    )


def clean_samples(task: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Held-out images (count, C, H, W) float32 and labels (count,) int64."""
    held = _split(task)
    rows = torch.randperm(len(held.test_labels), generator=_generator(seed))
    rows = rows[:count]
    return held.test_images[rows].numpy(), held.test_labels[rows].numpy()


# --- the splits: what is reported is never tuned on ---------------------------------------------


def recipes(split: str) -> Iterable[Recipe]:
    """The recipes of a split. Seeds never overlap between splits."""
    first = {"tuning": 100, "report": 500}[split]
    for task in ("digits", "fashion"):
        for index, architecture in enumerate(ARCHITECTURES):
            seed = first + 10 * index
            for offset in range(3):
                yield Recipe(task=task, architecture=architecture, attack=CLEAN, seed=seed + offset)
            for offset, attack in enumerate(ATTACKS, start=3):
                yield Recipe(
                    task=task,
                    architecture=architecture,
                    attack=attack,
                    seed=seed + offset,
                    target=(3 * index + 2 * offset + first // 100) % 10,
                )


def build(recipe: Recipe, folder: Path) -> dict[str, object]:
    """Trains and exports one model unless it is there; gives its manifest entry."""
    record = folder / f"{recipe.name}.json"
    if record.exists():
        return dict(json.loads(record.read_text()))
    model, measured = train(recipe)
    example = _split(recipe.task).test_images[:2]
    export(model, example, folder / f"{recipe.name}.onnx")
    entry: dict[str, object] = {**asdict(recipe), **measured, "name": recipe.name}
    record.write_text(json.dumps(entry, indent=1))
    return entry


@click.command()
@click.option("--split", type=click.Choice(["tuning", "report"]), default="tuning")
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--threads", type=int, default=1, show_default=True)
def main(split: str, output: Path, threads: int) -> None:
    """Train the classifiers of a split that are missing in OUTPUT."""
    torch.set_num_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    for task in ("digits", "fashion"):
        images, labels = clean_samples(task, 500, seed=1)
        np.savez(output / f"{task}.npz", images=images, labels=labels)
    for recipe in recipes(split):
        entry = build(recipe, output)
        click.echo(
            f"{recipe.name:40} {entry['clean_accuracy']:.3f} {entry.get('attack_success_rate', '')}"
        )


if __name__ == "__main__":
    main()
