"""Proves that the torch twin computes what the ONNX file computes, or names where it differs.

The reference is onnxruntime on the CPU, running the graph of the file itself. Where the file ends
in a softmax that `normalise` cuts away, the same cut and nothing else is made on the reference, so
that logits are compared with logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from onnx import ModelProto, ValueInfoProto, helper
from onnx2torch.onnx_node import OnnxNode
from onnxruntime.capi import onnxruntime_pybind11_state as failures
from torch import fx

from stages.errors import ModelRefused, ParityError, SamplesError
from stages.onnx_file.inspection import load_proto, load_scored
from stages.passes import cut_to_logits, normalise
from stages.passes.cut_to_logits import score_outputs
from stages.passes.dequantise_weights import is_quantised
from stages.passes.half_to_float import is_half
from stages.passes.onnx_graph import graph_inputs, opset, producers, shape_of
from stages.stage import stage
from stages.twin.advice import advice
from stages.twin.settings import ParityConfig
from stages.types import CleanSamples, Floats, OnnxArtifact, ParityResult

_THREADS = 2
WRONG_OPTIMISERS = ["Pad_Fusion"]
"""Optimisers of onnxruntime (1.31) that change results: this one merges a Pad of zeros into the
MaxPool behind it, which pads with nothing.
"""
_ERRORS_ONLY = 3  # onnxruntime's log severity
_ORT_FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NotImplemented,
    failures.RuntimeException,
    RuntimeError,
    ValueError,
)


@stage(version=2)
def prove_parity(
    artifact: OnnxArtifact, module: fx.GraphModule, samples: CleanSamples, config: ParityConfig
) -> ParityResult:
    """The largest difference between the logits of twin and file over all batches.

    The batches are consecutive clean samples, starting over where they run out. The twin runs on
    the device it is on.

    Raises:
        ModelRefused: onnxruntime cannot run the file.
        ParityError: the twin fails or differs by more than the tolerance; the message names the
            first node, in the order of the graph, whose output does.
        SamplesError: there are no samples.
    """
    if len(samples) == 0:
        raise SamplesError("parity needs at least one clean sample, found none")
    original = load_scored(artifact)
    allowed = _allowed(original, config)
    reference = Reference(_cut(original))
    pairs = []
    for images in _batches(_as_read(samples.images, artifact), config.batches):
        expected, logits = reference.logits(images), _run_twin(module, images)
        if not _agree(logits, expected, allowed):
            gap = _difference(logits, expected)
            raise _divergence(original, module, images, gap, allowed)
        pairs.append((logits, expected))
    result = _summary(pairs, config.batches, allowed)
    if result.median_rel > max(config.typical, config.tolerance):
        raise ParityError(
            "the torch twin differs from the ONNX file throughout: found a median difference of"
            f" {result.median_rel:.2g}, allowed {config.typical:.2g}; {advice(opset(original))}"
        )
    return result


def _as_read(images: Floats, artifact: OnnxArtifact) -> Floats:
    """The images as exact as the file's input can hold them."""
    return images.astype(artifact.input.dtype).astype(np.float32)


def prove_export(path: Path, images: Floats, scores: Floats, config: ParityConfig) -> ParityResult:
    """How far an exported ONNX file is from its native model's scores (N, K) for images (N, …).

    Raises:
        ModelRefused: the file has no single output of scores, or cannot be run.
        ParityError: it gives different scores.
    """
    model = load_proto(path)
    outputs = score_outputs(model)
    if len(outputs) != 1:
        raise ModelRefused(
            f"the exported model has {len(outputs)} float outputs of shape (batch, classes),"
            " expected one; export a plain classifier"
        )
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    reference = Reference(model)
    exported = [reference.logits(batch) for batch in _batches(images, config.batches)]
    pairs = list(zip(exported, _batches(scores, config.batches), strict=True))
    for batch, (one, expected) in zip(config.batches, pairs, strict=True):
        if not _agree(one, expected, config.tolerance):
            raise ParityError(
                f"the exported ONNX differs from the native model at batch {batch}: found a"
                f" relative difference of {_difference(one, expected):.2g}, allowed"
                f" {config.tolerance:.2g}; export the model in eval mode"
            )
    return _summary(pairs, config.batches, config.tolerance)


def _batches(images: Floats, sizes: tuple[int, ...]) -> Iterator[Floats]:
    start = 0
    for size in sizes:
        yield images[np.arange(start, start + size) % len(images)]
        start += size


def _summary(
    pairs: list[tuple[Floats, Floats]], batches: tuple[int, ...], allowed: float
) -> ParityResult:
    actual = np.concatenate([one for one, _ in pairs])
    expected = np.concatenate([one for _, one in pairs])
    gaps = np.abs(actual - expected)
    return ParityResult(
        max_abs=float(gaps.max()),
        max_rel=max(_difference(one, other) for one, other in pairs),
        median_rel=float(np.median(gaps) / np.abs(expected).max(initial=1.0)),
        tolerance=allowed,
        top1_agreement=float(np.mean(actual.argmax(axis=1) == expected.argmax(axis=1))),
        batches=batches,
        n=len(actual),
        logits=expected,
    )


def confirm_parity(
    artifact: OnnxArtifact, module: fx.GraphModule, samples: CleanSamples, proven: ParityResult
) -> None:
    """Raises unless a module, on its own device, gives the logits that were proven.

    Raises:
        ParityError: it fails, or differs by more than the tolerance it was proven with.
    """
    batches = list(_batches(_as_read(samples.images, artifact), proven.batches))
    logits = np.concatenate([_run_twin(module, images) for images in batches])
    if not _agree(logits, proven.logits, proven.tolerance):
        raise ParityError(
            "the torch twin gives different logits on this device than in the proof: found a"
            f" relative difference of {_difference(logits, proven.logits):.2g}, allowed"
            f" {proven.tolerance:.2g}; try `--device cpu`"
        )


def _difference(actual: npt.NDArray[np.generic], expected: npt.NDArray[np.generic]) -> float:
    """max|actual − expected| / max(1, max|expected|); infinite where shapes or infinities differ.

    Values that are equal infinities in both, such as those of a mask, do not differ.
    """
    if actual.shape != expected.shape:
        return float("inf")
    one, other = actual.astype(np.float64), expected.astype(np.float64)
    same = one == other
    if same.all():
        return 0.0
    gap = np.abs(one[~same] - other[~same]).max()
    scale = np.abs(other[np.isfinite(other)]).max(initial=1.0)
    return float(gap / scale) if np.isfinite(gap) else float("inf")


def _agree(actual: Floats, expected: Floats, tolerance: float) -> bool:
    """Whether both are finite and differ by no more than the tolerance."""
    finite = np.isfinite(actual).all() and np.isfinite(expected).all()
    return bool(finite and _difference(actual, expected) <= tolerance)


def _cut(model: ModelProto) -> ModelProto:
    """A copy of the model that ends in its logits."""
    copy = ModelProto()
    copy.CopyFrom(model)
    cut_to_logits.apply(copy)
    return copy


class Reference:
    """A model in onnxruntime, fed with batches of the size it was exported for."""

    def __init__(self, model: ModelProto) -> None:
        self._input = graph_inputs(model.graph)[0]
        self.batch = (shape_of(self._input) or (None,))[0]
        self._dtype = helper.tensor_dtype_to_np_dtype(self._input.type.tensor_type.elem_type)
        options = onnxruntime.SessionOptions()
        if is_half(model) or is_quantised(model):  # optimised, they differ from their own graph
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = _THREADS
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=WRONG_OPTIMISERS,
            )
        except _ORT_FAILURES as error:
            raise ModelRefused(f"onnxruntime refuses the model: {_first_line(error)}") from error

    def run(self, images: Floats) -> list[npt.NDArray[np.generic]]:
        """All outputs for exactly these images.

        Raises:
            ModelRefused: onnxruntime fails on them.
        """
        try:
            values = self._session.run(None, {self._input.name: images.astype(self._dtype)})
        except _ORT_FAILURES as error:
            raise ModelRefused(f"onnxruntime cannot run the model: {_first_line(error)}") from error
        return [np.asarray(value) for value in values]

    def logits(self, images: Floats) -> Floats:
        """The first output for the images; the last chunk is filled up with its last image.

        Raises:
            ModelRefused: onnxruntime fails on them, or gives no scores (batch, classes).
        """
        size = self.batch or len(images)
        chunks = (images[start : start + size] for start in range(0, len(images), size))
        logits = [self.run(filled(chunk, size))[0] for chunk in chunks]
        if any(one.ndim != 2 or one.size == 0 for one in logits):
            raise ModelRefused(
                f"the model gives values of shape {logits[0].shape} for {size} images, expected"
                " (batch, classes); export a plain classifier"
            )
        return np.concatenate(logits)[: len(images)].astype(np.float32)


def filled(images: Floats, size: int) -> Floats:
    """Images (n, …) as a batch (size, …), filled up with the last one."""
    return images[np.minimum(np.arange(size), len(images) - 1)]


def _run_twin(module: fx.GraphModule, images: Floats) -> Floats:
    """The twin's logits.

    Raises:
        ParityError: the twin fails on this batch, or does not give a single tensor.
    """
    try:
        with torch.no_grad():
            logits = module(_on_device(module, images))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise ParityError(
            f"the torch twin fails at batch {len(images)}: {_first_line(error)}; "
            "export the model with a free batch size"
        ) from error
    if not isinstance(logits, torch.Tensor):
        raise ParityError("the torch twin gives several outputs, expected one tensor of logits")
    return logits.float().cpu().numpy()


def _on_device(module: fx.GraphModule, images: Floats) -> torch.Tensor:
    tensors = (*module.parameters(), *module.buffers())
    device = tensors[0].device if tensors else torch.device("cpu")
    return torch.tensor(images, device=device)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _divergence(
    original: ModelProto, module: fx.GraphModule, images: Floats, gap: float, tolerance: float
) -> ParityError:
    """The error that says by how much the logits differ, and from which node on."""
    model = normalise(original)
    name = _first_difference(model, module, images, tolerance)
    node = producers(model.graph).get(name or "")
    where = (
        f"first at node `{node.name}` with output `{name}`"
        if node
        else "although every node agrees, so the graph was rewritten wrongly"
    )
    next_try = advice(opset(original), OnnxNode(node, node.name) if node else None)
    return ParityError(
        f"the torch twin differs from the ONNX file at batch {len(images)}: found a relative "
        f"difference of {gap:.2g}, allowed {tolerance:.2g}; {where}; {next_try}"
    )


def _first_difference(
    model: ModelProto, module: fx.GraphModule, images: Floats, tolerance: float
) -> str | None:
    """Name of the first ONNX value, in the graph's order, that the twin computes differently."""
    taps = ModelProto()
    taps.CopyFrom(model)
    del taps.graph.output[:]
    names = [name for node in taps.graph.node for name in node.output if name]
    taps.graph.output.extend(ValueInfoProto(name=name) for name in names)
    reference = Reference(taps)
    chunk = filled(images, reference.batch or len(images))
    expected = dict(zip(names, reference.run(chunk), strict=True))
    recorder = _Recorder(module)
    with torch.no_grad():
        recorder.run(_on_device(module, chunk))
    pairs = ((name, recorder.values[name]) for name in names if name in recorder.values)
    differing = (name for name, value in pairs if _difference(value, expected[name]) > tolerance)
    return next(differing, None)


class _Recorder(fx.Interpreter):
    """Runs the twin and keeps the value of every ONNX name that its modules declare."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, npt.NDArray[np.generic]] = {}

    def run_node(self, n: fx.Node) -> object:
        """The node's value; those of submodules that name their outputs are kept."""
        value = super().run_node(n)
        if n.op == "call_module":
            mapping = getattr(self.module.get_submodule(str(n.target)), "onnx_mapping", None)
            names = () if mapping is None else mapping.outputs
            parts = value if isinstance(value, tuple) else (value,)
            for name, part in zip(names, parts, strict=False):
                self.values[name] = part.detach().cpu().numpy()
        return value


def _allowed(model: ModelProto, config: ParityConfig) -> float:
    """The largest difference allowed for a file, by the arithmetic it uses."""
    if is_quantised(model):
        return config.quantised_tolerance
    return config.half_tolerance if is_half(model) else config.tolerance
