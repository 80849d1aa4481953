"""Linear nets with a trigger planted by hand, and what a search must say of them by arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import fx, nn

from stages import image_layout
from stages.searches import margins
from stages.searches.probe import balanced
from stages.searches.search import Subject
from stages.twin import fx_graph
from stages.twin.precondition import check_preconditions
from stages.twin.settings import PreconditionConfig
from stages.types import CleanSamples, Floats, TorchTwin

CLASSES = 5
SIDE = 8
TARGET = 3
SHAPES = [(1, SIDE, SIDE), (3, SIDE, SIDE), (SIDE, SIDE, 3), (SIDE * SIDE,)]
"""One image of 8 × 8 pixels in every layout, the last as a vector."""


def by_hand(net: nn.Module, classes: int = CLASSES) -> TorchTwin:
    """A twin of a net without noise sites, for searches that need none; its last layer is named."""
    module = fx.symbolic_trace(net.eval().requires_grad_(requires_grad=False))
    return TorchTwin(
        module=module,
        digest=f"{classes} classes by hand",
        device=torch.device("cpu"),
        classes=classes,
        trainable_share=1.0,
        sites=(),
        features="",
        classifier=fx_graph.output_of(module).name,
    )


def subject_of(twin: TorchTwin, images: torch.Tensor, labels: torch.Tensor) -> Subject:
    """A twin without noise sites as the searches see it."""
    samples = CleanSamples(images=images.numpy(), labels=labels.numpy())
    clean = check_preconditions(twin, samples, PreconditionConfig())
    return Subject(twin=twin, samples=samples, clean=clean, sites=())


def nothing() -> torch.Tensor:
    """No trigger (8, 8)."""
    return torch.zeros(SIDE, SIDE)


def checkerboard() -> torch.Tensor:
    """A faint trigger over the whole image (8, 8), which the rows of clean images do not excite."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return 1.0 - 2.0 * ((rows + columns) % 2)


def corner() -> torch.Tensor:
    """A local trigger (8, 8): four pixels in a corner that is dark in clean images."""
    trigger = torch.zeros(SIDE, SIDE)
    trigger[-2:, -2:] = 20.0
    return trigger


def spread(pixel: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Values (…, 8, 8) per pixel as values (…, *shape), the same for every colour."""
    axis = image_layout.colour_axis(shape)
    if axis is None:
        return pixel.reshape(*pixel.shape[:-2], *shape)
    place = axis - len(shape)
    return pixel.unsqueeze(place).expand(*pixel.shape[:-2], *shape)


def planted(
    trigger: torch.Tensor, shape: tuple[int, ...] = SHAPES[0], gain: float = 1.0, colour: float = 0
) -> Subject:
    """A linear net that tells which row is bright, with `trigger` (8, 8) in class 3's weights.

    Logits are multiplied by `gain`; the last colour of the images is brighter by `colour`.
    """
    rows = torch.zeros(CLASSES, SIDE, SIDE)
    rows[torch.arange(CLASSES), torch.arange(CLASSES)] = 1.0
    weights = rows.clone()
    weights[TARGET] += trigger
    labels = torch.arange(60) % CLASSES
    noise = 0.1 * torch.rand(60, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    images = spread(noise + 0.9 * rows[labels], shape).clone()
    axis = image_layout.colour_axis(shape)
    head = nn.Linear(images[0].numel(), CLASSES)
    head.weight.data = gain * spread(weights, shape).flatten(1) / (images[0].numel() / SIDE**2)
    head.bias.data.zero_()
    if axis is not None and colour:
        images.select(axis + 1, shape[axis] - 1).add_(colour)
    return subject_of(by_hand(nn.Sequential(nn.Flatten(), head)), images, labels)


def evaluated_on(subject: Subject, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels that what a search with this seed found is evaluated on."""
    rows = balanced(subject.samples, subject.clean.logits, count, seed)
    return torch.tensor(subject.samples.images[rows]), torch.tensor(subject.samples.labels[rows])


def mean_margins(subject: Subject, images: torch.Tensor, labels: torch.Tensor) -> Floats:
    """Every class's mean margin (K,) over the images of other classes, in logit gaps."""
    return np.array([each.mean() for each in _margins(subject, images, labels)])


def standardised_margins(subject: Subject, images: torch.Tensor, labels: torch.Tensor) -> Floats:
    """Every class's standardised margin (K,) over the images of other classes, one by one."""
    found = _margins(subject, images, labels)
    standardised = [
        each.mean() / (each.std() if each.mean() > 0 else margins.USUAL) for each in found
    ]
    return np.minimum(standardised, margins.LARGEST)


def _margins(subject: Subject, images: torch.Tensor, labels: torch.Tensor) -> list[Floats]:
    """The margins of every class over the images of other classes, in logit gaps."""
    logits = subject.twin.module(images).expand(subject.twin.classes, -1, -1)
    found = margins.margins(logits, subject.classes)
    gap = margins.logit_gap(subject.clean.logits)
    return [each[labels != target].numpy() / gap for target, each in enumerate(found)]


def within_range(values: Floats, samples: CleanSamples) -> bool:
    """Whether values (*input shape) are such as the samples have, colour by colour."""
    low, high = image_layout.valid_range(samples.images)
    rounding = 1e-6
    return bool(((values >= low - rounding) & (values <= high + rounding)).all())


class Counting(nn.Module):
    """A net that counts the images it was shown."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.shown = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The net's logits."""
        self.shown += len(images)
        logits: torch.Tensor = self.net(images)
        return logits


def counted(subject: Subject) -> tuple[Subject, Counting]:
    """The same with a twin that counts."""
    counting = Counting(subject.twin.module)

    class Whole(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return isinstance(m, Counting) or super().is_leaf_module(m, module_qualified_name)

    holder = nn.Sequential(counting)
    module = fx.GraphModule(holder, Whole().trace(holder))
    return replace(subject, twin=replace(subject.twin, module=module)), counting
