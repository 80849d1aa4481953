"""What is done to an untrusted file in a child process: everything up to its first run.

The caller gets plain values back and builds its own twin from the graph that was proven here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch

from stages.errors import CannotJudge
from stages.onnx_file.inspection import inspect_onnx, load_scored
from stages.passes import normalise
from stages.twin.build import make_twin
from stages.twin.convert import build_module
from stages.twin.gradient import require_gradient
from stages.twin.parity import prove_parity
from stages.twin.settings import ParityConfig
from stages.twin.summary import TwinSummary, summarise
from stages.types import CleanSamples, Floats, OnnxArtifact, ParityResult

LARGEST_IMAGE = 2**24
"""Most numbers in one random image: a picture of 2365 × 2365 pixels in three colours."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ProvenGraph:
    """A normalised ONNX graph, serialised, whose torch twin computes what the file computes."""

    graph: bytes
    parity: ParityResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Description:
    """What a file is, how close its twin is on random images, and what the twin looks like."""

    artifact: OnnxArtifact
    parity: ParityResult
    twin: TwinSummary


def prove_conversion(
    artifact: OnnxArtifact, samples: CleanSamples, config: ParityConfig
) -> ProvenGraph:
    """The normalised graph of a file, converted and compared with the file on the samples.

    Raises:
        CannotJudge: the file cannot be converted, or its twin is not the model.
    """
    graph = normalise(load_scored(artifact))
    parity = prove_parity(artifact, build_module(graph), samples, config)
    return ProvenGraph(graph=graph.SerializeToString(), parity=parity)


def describe(path: Path, output: str = "", image: tuple[int, ...] | None = None) -> Description:
    """What ban-gate sees in an ONNX file, without samples: the artifact, its sites and its split.

    `output` names the output to judge, `image` is the shape of one image, for a model that leaves
    sizes free.

    Raises:
        CannotJudge: the file is refused, cannot become a twin, or its twin is not the model.
    """
    artifact = inspect_onnx(path, output)
    config = ParityConfig()
    images = _random_images(artifact, _image_shape(artifact, image), sum(config.batches))
    samples = CleanSamples(images=images, labels=np.zeros(len(images), dtype=np.int64))
    module = build_module(normalise(load_scored(artifact)))
    parity = prove_parity(artifact, module, samples, config)
    twin = make_twin(artifact, module, samples, torch.device("cpu"))
    require_gradient(twin.module, images, enough=0.0)
    return Description(artifact=artifact, parity=parity, twin=summarise(twin))


def _random_images(artifact: OnnxArtifact, image: tuple[int, ...], count: int) -> Floats:
    """Numbers in [0, 1), or bytes for a model that reads whole numbers."""
    shape, random = (count, *image), np.random.default_rng(0)
    if "int" in artifact.input.dtype:
        return random.integers(0, 256, shape).astype(artifact.input.dtype).astype(np.float32)
    return random.random(shape, dtype=np.float32)


def _image_shape(artifact: OnnxArtifact, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one image: what the file says, with its free sizes as they are given."""
    name, stated = artifact.input.name, artifact.input.shape[1:]
    if given is None and None in stated:
        raise CannotJudge(
            f"the input `{name}` has {stated.count(None)} free sizes beside the batch; say how"
            " large an image is with `--input-shape`, such as 3,32,32"
        )
    shape = stated if given is None else given
    if len(shape) != len(stated) or any(
        size not in (None, wanted) for size, wanted in zip(stated, shape, strict=True)
    ):
        found, expected = ",".join(map(str, shape)), ",".join(str(s or "any") for s in stated)
        raise CannotJudge(
            f"`--input-shape` is {found}, the model's input `{name}` expects {expected}"
        )
    sizes = tuple(size for size in shape if size is not None)
    if prod(sizes) > LARGEST_IMAGE:
        raise CannotJudge(
            f"an image of the input `{name}` has {prod(sizes)} numbers, expected"
            f" {LARGEST_IMAGE} at most; export the model for smaller images"
        )
    return sizes
