"""What the pipeline says of a file, and a second look at whatever it accepts.

The second look shares nothing with the pipeline's own gate but the twin: another onnxruntime
session, other images, other batch sizes. The twin's scores are those of the file before all that
keeps their order, and the class they choose is that of the file as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import fx
from torch.nn.modules.batchnorm import _BatchNorm

from stages.errors import NoNoiseSites
from stages.onnx_file.inspection import inspect_onnx, load_scored
from stages.passes import cut_to_logits, normalise
from stages.twin.build import make_twin
from stages.twin.convert import build_module, trainable_share
from stages.twin.parity import prove_parity
from stages.twin.settings import ParityConfig
from stages.types import CleanSamples, Floats, OnnxArtifact, TensorSpec

SMALLEST_SHARE = 0.99
FEWEST_GRADIENTS = 0.5
"""The share of the images that a gradient must reach for a search to work."""
FRESH_BATCHES = (3, 5)
_SAMPLES = 8  # a batch of 1 and one of 7
_TIE = 1e-3  # how far, of the largest score, two classes may be apart to be chosen alike
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

    `frozen` names what is not trainable, largest first; `no_sites` says why `sites` is 0, and
    `accusation` what in the graph blocks the model, if anything does.
    """

    parity: float
    tolerance: float
    fresh: float
    share: float
    frozen: str
    sites: int
    no_sites: str
    gradients: float
    accusation: str


def judge_file(path: Path, free: tuple[int, ...] = ()) -> Judgement:
    """Takes a file through inspection, conversion and parity, and looks a second time.

    Raises:
        CannotJudge: the pipeline refuses the file, or its twin.
    """
    artifact = inspect_onnx(path)
    module = build_module(normalise(load_scored(artifact)))
    shape = fill(artifact.input, free)
    whole = _bytes if "int" in artifact.input.dtype else None
    images = (whole or _normal)(_SAMPLES, shape, 1)
    samples = CleanSamples(images=images, labels=np.zeros(_SAMPLES, np.int64))
    parity = prove_parity(artifact, module, samples, ParityConfig())
    fresh = fresh_difference(artifact, module, shape, whole)
    gradients = reached(module, samples.images)
    sites, no_sites = _count_sites(artifact, module, samples)
    blocking = (one.message for one in artifact.findings if one.severity == "blocking")
    return Judgement(
        parity=parity.max_rel,
        tolerance=parity.tolerance,
        fresh=fresh,
        share=trainable_share(module),
        frozen=_frozen(module),
        sites=sites,
        no_sites=no_sites,
        gradients=gradients,
        accusation=next(blocking, ""),
    )


def reached(module: fx.GraphModule, images: Floats) -> float:
    """The share in [0, 1] of the images that the gradient of their largest scores reaches."""
    given = torch.tensor(images, requires_grad=True)
    scores = module(given)
    if not scores.requires_grad:
        return 0.0
    (slopes,) = torch.autograd.grad(scores.amax(1).sum(), given, allow_unused=True)
    if slopes is None:
        return 0.0
    steep = slopes.flatten(1).isfinite().all(1) & slopes.flatten(1).ne(0).any(1)
    return float(steep.float().mean())


def fill(source: TensorSpec, free: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one image, with the sizes `free` for the axes the file leaves free."""
    sizes = iter(free)
    return tuple(next(sizes) if size is None else size for size in source.shape[1:])


def fresh_difference(
    artifact: OnnxArtifact,
    module: fx.GraphModule,
    shape: tuple[int, ...],
    draw: Callable[[int, tuple[int, ...], int], Floats] | None = None,
) -> float:
    """The largest relative difference of twin and file on images the gate has not seen.

    The batches are one of standard normal images and one of images in [0, 1], or two that `draw`
    gives. The difference is relative to max(1, largest absolute value); infinite where a value is
    not finite, a shape is another, or the whole file chooses another class.
    """
    whole, raw = _Session(artifact), _Session(artifact, cut=True)
    rng = np.random.default_rng(20)
    first, second = FRESH_BATCHES
    batches = (_normal(first, shape, 19), rng.random((second, *shape), dtype=np.float32))
    if draw is not None:
        batches = (draw(first, shape, 19), draw(second, shape, 20))
    differences = []
    for batch in batches:
        found = _twin(module, batch)
        differences.append(_difference(raw.run(batch), found))
        differences.append(_misjudged(whole.run(batch), found))
    return max(differences)


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

    With `cut` it ends in the raw scores behind what only keeps their order. Quantised files run
    unoptimised, because optimised kernels round differently.
    """

    def __init__(self, artifact: OnnxArtifact, *, cut: bool = False) -> None:
        model = load_scored(artifact)
        if cut:
            cut_to_logits.apply(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        if {node.op_type for node in model.graph.node} & _QUANTISED:
            level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.input = self.session.get_inputs()[0]

    def run(self, images: Floats) -> Floats:
        """The scores (N, K) of images (N, *shape)."""
        batch = self.input.shape[0]
        size = batch if isinstance(batch, int) else len(images)
        found = []
        for start in range(0, len(images), size):
            chosen = np.minimum(np.arange(start, start + size), len(images) - 1)
            given = images[chosen].astype(_TYPES[self.input.type])
            (scores,) = self.session.run(None, {self.input.name: given})
            found.append(np.asarray(scores, dtype=np.float32).reshape(size, -1))
        return np.concatenate(found)[: len(images)]


def _difference(expected: Floats, found: Floats) -> float:
    """The relative difference; infinite where shapes differ or values are not finite."""
    if expected.shape != found.shape:
        return float("inf")
    if not (np.isfinite(expected).all() and np.isfinite(found).all()):
        return float("inf")
    return float(np.abs(expected - found).max() / max(1.0, np.abs(expected).max()))


def _misjudged(whole: Floats, found: Floats) -> float:
    """Infinite where the file prefers a class to the twin's by more than a tie, else 0."""
    if whole.shape != found.shape:
        return float("inf")
    chosen = np.take_along_axis(whole, found.argmax(1)[:, None], axis=1)[:, 0]
    tie = _TIE * max(1.0, float(np.abs(whole).max()))
    return 0.0 if (whole.max(1) - chosen <= tie).all() else float("inf")


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
