"""What the pipeline says of a file, and a second look at whatever it accepts.

The second look shares nothing with the pipeline's own gate but the twin: another onnxruntime
session on the file as it is, other images, other batch sizes. Where the file gives probabilities
and the twin scores, the logarithms of the file's are compared with the log-softmax of the twin's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import fx
from torch.nn.modules.batchnorm import _BatchNorm

from stages.errors import NoNoiseSites
from stages.onnx_file.inspection import inspect_onnx, load_proto
from stages.passes import normalise
from stages.twin.build import make_twin
from stages.twin.convert import build_module, trainable_share
from stages.twin.parity import ParityConfig, prove_parity
from stages.types import CleanSamples, Floats, OnnxArtifact, TensorSpec

SMALLEST_SHARE = 0.99
FRESH_BATCHES = (3, 5)
_SAMPLES = 8  # a batch of 1 and one of 7
_FLOOR = -60.0  # log-probabilities below are as good as none in float32
_TYPES = {
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
_QUANTISED = {"QuantizeLinear", "DynamicQuantizeLinear"}


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The numbers of a file that passed the pipeline's gate.

    `frozen` names what is not trainable, largest first; `no_sites` says why `sites` is 0.
    """

    parity: float
    tolerance: float
    fresh: float
    share: float
    frozen: str
    sites: int
    no_sites: str


def judge_file(path: Path, free: tuple[int, ...] = ()) -> Judgement:
    """Takes a file through inspection, conversion and parity, and looks a second time.

    Raises:
        CannotJudge: the pipeline refuses the file, or its twin.
    """
    artifact = inspect_onnx(path)
    module = build_module(normalise(load_proto(artifact.path)))
    shape = fill(artifact.input, free)
    whole = _bytes if "int" in artifact.input.dtype else None
    images = (whole or _normal)(_SAMPLES, shape, 1)
    samples = CleanSamples(images=images, labels=np.zeros(_SAMPLES, np.int64))
    parity = prove_parity(artifact, module, samples, ParityConfig())
    fresh = fresh_difference(path, artifact.output.name, module, shape, whole)
    sites, no_sites = _count_sites(artifact, module, samples)
    return Judgement(
        parity=parity.max_rel,
        tolerance=parity.tolerance,
        fresh=fresh,
        share=trainable_share(module),
        frozen=_frozen(module),
        sites=sites,
        no_sites=no_sites,
    )


def fill(source: TensorSpec, free: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one image, with the sizes `free` for the axes the file leaves free."""
    sizes = iter(free)
    return tuple(next(sizes) if size is None else size for size in source.shape[1:])


def fresh_difference(
    path: Path,
    output: str,
    module: fx.GraphModule,
    shape: tuple[int, ...],
    draw: Callable[[int, tuple[int, ...], int], Floats] | None = None,
) -> float:
    """The largest relative difference of twin and file on images the gate has not seen.

    The batches are one of standard normal images and one of images in [0, 1], or two that `draw`
    gives. The difference is
    relative to max(1, largest absolute value); infinite where a value is not finite or a shape is
    another.
    """
    session = _Session(path, output)
    rng = np.random.default_rng(20)
    first, second = FRESH_BATCHES
    batches = (_normal(first, shape, 19), rng.random((second, *shape), dtype=np.float32))
    if draw is not None:
        batches = (draw(first, shape, 19), draw(second, shape, 20))
    return max(_difference(session.run(batch), _twin(module, batch)) for batch in batches)


def _normal(n: int, shape: tuple[int, ...], seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, *shape), dtype=np.float32)


def _bytes(n: int, shape: tuple[int, ...], seed: int) -> Floats:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.float32)


def _twin(module: fx.GraphModule, images: Floats) -> Floats:
    with torch.no_grad():
        logits: Floats = module(torch.tensor(images)).float().numpy()
    return logits


class _Session:
    """The file in onnxruntime, fed with batches of the size it was exported for.

    Quantised files run unoptimised, because optimised kernels round differently. Where the pipeline
    names a value inside the graph as the output, the file's last output is the one to compare with.
    """

    def __init__(self, path: Path, output: str) -> None:
        operators = {node.op_type for node in onnx.load(path).graph.node}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        if operators & _QUANTISED:
            level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        self.session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        names = [one.name for one in self.session.get_outputs()]
        self.output = output if output in names else names[-1]
        self.input = self.session.get_inputs()[0]

    def run(self, images: Floats) -> Floats:
        batch = self.input.shape[0]
        size = batch if isinstance(batch, int) else len(images)
        found = []
        for start in range(0, len(images), size):
            chosen = np.minimum(np.arange(start, start + size), len(images) - 1)
            batch_images = images[chosen].astype(_TYPES[self.input.type])
            found.append(_array(self.session.run([self.output], {self.input.name: batch_images})))
        return np.concatenate(found)[: len(images)]


def _array(outputs: list[Any]) -> Floats:
    """The scores (batch, classes); scikit-learn may write them as a map of each sample."""
    (scores,) = outputs
    if isinstance(scores, list):
        scores = [[one[label] for label in sorted(one)] for one in scores]
    return np.asarray(scores, dtype=np.float32)


def _difference(expected: Floats, found: Floats) -> float:
    """The relative difference of both as they are, or of both as log-probabilities."""
    if expected.shape != found.shape:
        return float("inf")
    if not _is_probability(expected) or _is_probability(found):
        return _relative(expected, found)
    with np.errstate(divide="ignore"):
        expected = np.maximum(np.log(expected), _FLOOR)
    found = torch.log_softmax(torch.tensor(found), dim=1).numpy()
    return _relative(expected, np.maximum(found, _FLOOR))


def _relative(one: Floats, other: Floats) -> float:
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return float("inf")
    return float(np.abs(one - other).max() / max(1.0, np.abs(one).max()))


def _is_probability(values: Floats) -> bool:
    return bool((values >= 0).all() and np.allclose(values.sum(1), 1, atol=1e-4))


def _frozen(module: fx.GraphModule) -> str:
    """The three largest float buffers outside BatchNorm, with their shapes."""
    parts = (part for part in module.modules() if not isinstance(part, _BatchNorm))
    found = [pair for part in parts for pair in part.named_buffers(recurse=False)]
    floats = [(name, one) for name, one in found if one.is_floating_point() and one.numel() > 1]
    floats.sort(key=lambda pair: -pair[1].numel())
    return ", ".join(f"{name} {tuple(one.shape)}" for name, one in floats[:3])


def _count_sites(
    artifact: OnnxArtifact, module: fx.GraphModule, samples: CleanSamples
) -> tuple[int, str]:
    """How many places there are for noise, or 0 and why."""
    try:
        return len(make_twin(artifact, module, samples, torch.device("cpu")).sites), ""
    except NoNoiseSites as refusal:
        return 0, str(refusal)
