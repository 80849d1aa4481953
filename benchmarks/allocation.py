"""What it saves that the memory of a step is kept for the next one, by nets and sides of images.

    python -m benchmarks.allocation

Processor seconds of passes forward and backward of one thread, in one process, with and without.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import click
import torch
import torchvision
from torch import nn

from benchmarks.resnets import resnet
from pipeline.allocation import kept_memory
from stages.twin.arithmetic import both_ways

CASES: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "ResNet-18, 32 px": (lambda: resnet(32), 32, 200),
    "ResNet-18, 224 px": (lambda: resnet(224), 224, 16),
    "MobileNetV2, 224 px": (torchvision.models.mobilenet_v2, 224, 16),
    "EfficientNet-B0, 224 px": (torchvision.models.efficientnet_b0, 224, 16),
}
"""A net, the side of its images, and how many of them are shown at once, as in a search."""
PASSES = 3


def seconds(model: nn.Module, images: torch.Tensor) -> tuple[float, float]:
    """Processor seconds of some passes: of the process, and of the system on its behalf."""
    both_ways(model, images)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.process_time()
    for _ in range(PASSES):
        both_ways(model, images)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return time.process_time() - started, after.ru_stime - before.ru_stime


@click.command()
def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    click.echo("| net | kept, as a share of not kept | share of the system: not kept | kept |")
    click.echo("|---|---|---|---|")
    for name, (build, side, count) in CASES.items():
        model = build().eval().requires_grad_(requires_grad=False)
        images = torch.rand(count, 3, side, side)
        usual = seconds(model, images)
        with kept_memory():
            kept = seconds(model, images)
        shares = [each[1] / each[0] for each in (usual, kept)]
        click.echo(f"| {name} | {kept[0] / usual[0]:.2f} | {shares[0]:.0%} | {shares[1]:.0%} |")


if __name__ == "__main__":
    main()
