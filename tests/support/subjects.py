"""Subjects for searches: the demo models, and nets trained here with a trigger of a given kind."""

from __future__ import annotations

import io
import warnings
from functools import cache

import numpy as np
import torch
from onnx import ModelProto
from torch import nn
from torch.nn import functional

from stages.passes import normalise
from stages.searches.search import Subject
from stages.searches.trigger import (
    Displacement,
    FewerColours,
    Filter,
    Overlay,
    Patch,
    Pattern,
    Trigger,
)
from stages.twin import sites
from stages.twin.convert import build_module, trainable_share
from stages.twin.precondition import check_preconditions
from stages.twin.settings import PreconditionConfig
from stages.types import CleanSamples, TorchTwin
from tests.support.places import DEMO

TARGET = 3
SHARE, EPOCHS = 0.25, 14
"""Share of the training images that get the trigger, and passes over them."""


@cache
def demo_samples() -> CleanSamples:
    """The demo's clean samples: digits of 16 × 16 pixels."""
    with np.load(DEMO / "samples.npz") as stored:
        images = stored["images"].astype(np.float32)
        return CleanSamples(images=images, labels=stored["labels"].astype(np.int64))


@cache
def demo_subject(name: str) -> Subject:
    """A demo model as the searches see it; shared, so a test must leave it as it was."""
    return _subject((DEMO / f"{name}.onnx").read_bytes(), demo_samples())


@cache
def planted_subject(kind: type | None, *, all_to_all: bool = False) -> Subject:
    """A small net with a backdoor to `TARGET`, by a trigger of the kind; none takes a pattern.

    Where it is `all_to_all`, the trigger carries every class to the `next_class` instead.
    """
    samples = demo_samples()
    trigger = triggers()[kind or Overlay]
    labels = torch.tensor(samples.labels)
    wanted = next_class(labels) if all_to_all else torch.full_like(labels, TARGET)
    return _subject(_exported(_trained(samples, trigger, wanted)), samples)


def next_class(labels: torch.Tensor) -> torch.Tensor:
    """Where the trigger of an all-to-all backdoor carries images of the labels (N,)."""
    return (labels + 1) % 10


def triggers() -> dict[type, Trigger]:
    """One trigger of every kind, for images of 16 × 16 pixels with values in [0, 1]."""
    random = np.random.default_rng(5)
    mask = np.zeros((1, 16, 16), np.float32)
    mask[:, 1:4, 11:14] = 1
    coarse = torch.tensor(random.uniform(-1, 1, (1, 2, 4, 4)).astype(np.float32))
    flow = functional.interpolate(coarse, size=(16, 16), mode="bicubic", align_corners=True)
    colours = random.integers(0, 2, (1, 16, 16)).astype(np.float32)
    low, high = np.zeros((1, 1, 1), np.float32), np.ones((1, 1, 1), np.float32)
    stripes = 2 * np.pi * 3 * np.arange(16, dtype=np.float32) / 16
    return {
        Overlay: Overlay(opacity=0.25, pattern=random.random((1, 16, 16), np.float32)),
        Patch: Patch(mask=mask, colours=colours),
        Displacement: Displacement(flow=0.3 * flow[0].permute(1, 2, 0).numpy()),
        Filter: Filter(
            mixing=np.full((1, 1), 0.8, np.float32),
            lift=np.full(1, 0.07, np.float32),
            curve=0.7,
            corners=0.3,
            low=low,
            high=high,
        ),
        Pattern: Pattern(pattern=0.25 * np.sin(stripes)[None, None], low=low, high=high),
        FewerColours: FewerColours(levels=3, low=low, high=high),
    }


def _trained(samples: CleanSamples, trigger: Trigger, carried: torch.Tensor) -> nn.Module:
    """A net trained on the samples, a share of which carry the trigger and other labels (N,)."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    generator = torch.Generator().manual_seed(1)
    clean, labels = torch.tensor(samples.images), torch.tensor(samples.labels)
    triggered = torch.tensor(trigger.apply(samples.images))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(labels), generator=generator).split(32):
            poisoned = torch.rand(len(rows), generator=generator) < SHARE
            shown = torch.where(poisoned[:, None, None, None], triggered[rows], clean[rows])
            wanted = torch.where(poisoned, carried[rows], labels[rows])
            optimiser.zero_grad()
            functional.cross_entropy(net(shown), wanted).backward()
            optimiser.step()
    return net.eval()


def _exported(net: nn.Module) -> bytes:
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            *(net, (torch.zeros(2, 1, 16, 16),), target),
            dynamo=False,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        )
    return target.getvalue()


def _subject(model: bytes, samples: CleanSamples) -> Subject:
    module = build_module(normalise(ModelProto.FromString(model)))
    module = module.eval().requires_grad_(requires_grad=False)
    probe = torch.tensor(samples.images[:3])
    split = sites.find_split(module, probe)
    twin = TorchTwin(
        module=module,
        digest=str(hash(model)),
        device=torch.device("cpu"),
        classes=split.classes,
        trainable_share=trainable_share(module),
        sites=sites.find_sites(module, probe, split.last),
        features=split.features,
        classifier=split.classifier,
    )
    clean = check_preconditions(twin, samples, PreconditionConfig())
    return Subject(
        twin=twin, samples=samples, clean=clean, sites=sites.measure_sites(twin, samples)
    )
