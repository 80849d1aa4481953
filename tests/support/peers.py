"""The published detectors with few steps, and twins that they are tried on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import torch
from torch import nn

from benchmarks.peers import Finding, ban, bti_dbf, mm_bd, neural_cleanse
from stages.onnx_file.inspection import inspect_onnx
from stages.passes import normalise
from stages.twin.build import make_twin
from stages.twin.convert import build_module
from stages.types import CleanSamples, TorchTwin
from tests.support.places import DEMO

QUICK_CLEANSE = neural_cleanse.Config(steps=8, window=2, batch=8)
QUICK_MARGIN = mm_bd.Config(restarts=4, steps=5)
QUICK_GENERATOR = bti_dbf.Config(
    mask_rounds=1, rounds=2, pretraining_rounds=1, batches=3, batch=16, width=4
)
QUICK_BAN = ban.Config(epochs=1, batches=3, noise_batches=2, steps=3, batch=16)

Find = Callable[[TorchTwin, CleanSamples, int], Finding]

FIND: dict[str, Find] = {
    "ban": lambda twin, samples, seed: ban.find(twin, samples, QUICK_BAN, seed),
    "bti_dbf": lambda twin, samples, seed: bti_dbf.find(twin, samples, QUICK_GENERATOR, seed),
    "mm_bd": lambda twin, samples, seed: mm_bd.find(twin, samples, QUICK_MARGIN, seed),
    "neural_cleanse": lambda twin, samples, seed: neural_cleanse.find(
        twin, samples, QUICK_CLEANSE, seed
    ),
}


@cache
def demo_samples() -> CleanSamples:
    """The first 120 clean digits of the demo."""
    with np.load(DEMO / "samples.npz") as found:
        return CleanSamples(images=found["images"][:120], labels=found["labels"][:120])


@cache
def demo_twin(name: str) -> TorchTwin:
    """The twin of a demo model; shared, so a test must leave it as it was."""
    path = DEMO / f"{name}.onnx"
    module = build_module(normalise(onnx.load(path)))
    return make_twin(inspect_onnx(path), module, demo_samples(), torch.device("cpu"))


@cache
def cornered(strength: float) -> tuple[TorchTwin, CleanSamples]:
    """Four classes, each the brightest quadrant of 8×8 images, and a backdoor: the corner pixel
    votes for class 2. Clean images are dim and dark in that corner.
    """
    quadrants = torch.zeros(2, 2, 2, 4, 2, 4)
    for row, column in np.ndindex(2, 2):
        quadrants[row, column, row, :, column, :] = 1
    last = nn.Linear(64, 4, bias=False)
    last.weight.data = quadrants.view(4, 64)
    last.weight.data[2, 0] += strength
    net = nn.Sequential(nn.Flatten(), last).eval().requires_grad_(requires_grad=False)
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    images[:, :, 0, 0] = 0
    labels = net(images).argmax(1).numpy()
    return _unsited(net), CleanSamples(images=images.numpy(), labels=labels)


def _unsited(net: nn.Module) -> TorchTwin:
    """A twin as far as detectors need it that only run the module."""
    return TorchTwin(
        module=torch.fx.symbolic_trace(net),
        digest="corner",
        device=torch.device("cpu"),
        classes=4,
        trainable_share=1.0,
        sites=(),
        features="_0",
        classifier="_1",
    )
