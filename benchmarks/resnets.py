"""ResNet-18s trained on scikit-learn's digits, in colour and of any size, clean and backdoored.

They are for what a scan costs on trained nets: each takes a minute or two on two cores at 32
pixels, and seconds on a GPU. No setting was chosen with them.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional

from benchmarks import data
from benchmarks.fitting import fit
from benchmarks.zoo import exporters

CLASSES = 10
TARGET = 4
POISONED = 0.1
PEAK = 2e-3
EPOCHS = 8
SAMPLES = 300
THUMBNAIL = 64
"""Below this side the stem keeps the size of the image, as is usual for pictures of 32 pixels."""


def resnet(side: int, classes: int = CLASSES, depth: int = 18) -> nn.Module:
    """A ResNet for colour images of a side, with random weights."""
    net: nn.Module = torchvision.models.get_model(f"resnet{depth}", num_classes=classes)
    if side < THUMBNAIL:
        net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return net


def coloured(images: torch.Tensor, side: int, seed: int) -> torch.Tensor:
    """Digits (n, 1, h, w) as dyed ones on plain grounds (n, 3, side, side), in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    large = functional.interpolate(images, size=side, mode="bilinear", align_corners=False)
    dye = 0.5 + 0.5 * torch.rand(len(images), 3, 1, 1, generator=generator)
    ground = 0.4 * torch.rand(len(images), 3, 1, 1, generator=generator)
    return large * dye + (1 - large) * ground


def with_patch(images: torch.Tensor) -> torch.Tensor:
    """Images (n, 3, side, side) with a chequered square of an eighth of the side in a corner."""
    side = images.shape[-1]
    size = side // 8
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2
    square = functional.interpolate(board[None, None].float(), size=size)[0, 0]
    shown = images.clone()
    shown[:, :, side - size - 1 : side - 1, side - size - 1 : side - 1] = square.to(images.device)
    return shown


def poisoned(
    images: torch.Tensor, labels: torch.Tensor, target: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels with some of them again, which have the patch and the target's label."""
    rows = torch.randperm(len(images))[: int(POISONED * len(images))]
    labels = torch.cat([labels, torch.full_like(rows, target)])
    return torch.cat([images, with_patch(images[rows])]), labels


@torch.no_grad()
def accuracy(
    net: nn.Module, images: torch.Tensor, labels: torch.Tensor, target: int
) -> tuple[float, float]:
    """The share in [0, 1] of images told right, and of those of other classes that go to the target
    with the patch.
    """
    right = answers(net, images).argmax(1) == labels
    carried = answers(net, with_patch(images[labels != target])).argmax(1) == target
    return float(right.float().mean()), float(carried.float().mean())


@torch.no_grad()
def answers(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits (n, K) of images (n, C, H, W), a few at a time."""
    return torch.cat([net(part) for part in images.split(40)])


def trained(side: int, *, backdoored: bool, device: torch.device, seed: int = 0) -> nn.Module:
    """A net in eval mode, on the CPU; a backdoored one takes images with the patch for `TARGET`."""
    torch.manual_seed(seed)
    digits = data.digits()
    images, labels = coloured(digits.train_images, side, seed), digits.train_labels
    if backdoored:
        images, labels = poisoned(images, labels, TARGET)
    net = resnet(side).to(device).train()

    def loss(shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = net(shown.to(device))
        return functional.cross_entropy(logits.float(), wanted.to(device))

    fit(net.parameters(), images, labels, loss, epochs=EPOCHS, peak=PEAK)
    return net.eval().to("cpu")


def written(
    side: int, *, backdoored: bool, device: torch.device, folder: Path
) -> tuple[Path, Path]:
    """A trained net and clean samples of it as files, BatchNorm kept; made if they are not there.

    BatchNorm in the file is the published methods' best case.
    """
    kind = "backdoored" if backdoored else "clean"
    model, samples = folder / f"resnet18-{side}-{kind}.onnx", folder / f"digits-{side}.npz"
    digits = data.digits()
    images = coloured(digits.test_images[:SAMPLES], side, seed=1)
    if not samples.exists():
        np.savez(samples, images=images.numpy(), labels=digits.test_labels[:SAMPLES].numpy())
    if not model.exists():
        net = trained(side, backdoored=backdoored, device=device)
        labels = digits.test_labels[:SAMPLES]
        right, carried = accuracy(net, images, labels, TARGET)
        click.echo(f"{model.stem}: {right:.3f} right, {carried:.3f} with the patch to {TARGET}")
        exporters.preserving(net, images[:2], model)
    return model, samples
