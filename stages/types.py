"""The values that flow from stage to stage: frozen, keyword-built, arrays read-only on the CPU.

`OnnxArtifact → TorchTwin → (ParityResult, NoiseResult, MaskResult, …) → Verdict`

Letters in shapes: N samples, K classes, C channels of a site, F the shape of a sample's features.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from stages.label import Label

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Severity = Literal["note", "warning", "blocking"]


def _freeze(*arrays: npt.NDArray[np.generic]) -> None:
    for array in arrays:
        array.setflags(write=False)


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """Name, shape (None where the size is free) and element type of a graph input or output."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, kw_only=True)
class GraphFinding:
    """Something in the ONNX graph a reader should know of."""

    rule: str
    severity: Severity
    message: str
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OnnxArtifact:
    """An ONNX file that passed inspection.

    `digest` is the sha256 of the file's bytes, `content_digest` that of graph and weights however
    they are laid out.
    """

    path: Path
    framework: str
    producer: str
    digest: str
    content_digest: str
    opset: int
    parameters: int
    input: TensorSpec
    output: TensorSpec
    findings: tuple[GraphFinding, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class CleanSamples:
    """Clean images (N, *input shape without batch) float32, in the model's own input space, and
    labels (N,) int64.
    """

    images: Floats
    labels: Integers
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        _freeze(self.images, self.labels)
        state = hashlib.sha256(repr((self.images.shape, self.labels.shape)).encode())
        state.update(np.ascontiguousarray(self.images).data)
        state.update(np.ascontiguousarray(self.labels).data)
        object.__setattr__(self, "digest", state.hexdigest())

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many different labels occur."""
        return len(np.unique(self.labels))


@dataclass(frozen=True, kw_only=True)
class NoiseSite:
    """A place where neuron noise enters: the output of one fx node, one noise pair per channel.

    `axis` is the channel axis counted from the end of the node's output, so it is negative.
    """

    node: str
    kind: Literal["batchnorm", "conv", "linear"]
    channels: int
    axis: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TorchTwin:
    """The differentiable torch copy of an ONNX model, in eval mode, and where to touch it.

    `features` and `classifier` are fx node names: the last feature map before pooling, and the
    final layer that turns features into K logits. `sites` are ordered from input to output.
    """

    module: fx.GraphModule
    digest: str
    device: torch.device
    classes: int
    trainable_share: float
    sites: tuple[NoiseSite, ...]
    features: str
    classifier: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ParityResult:
    """How far twin and ONNX differ: absolute, and relative to max(1, largest absolute logit), at
    most and in the median.

    `logits` (n, K) are the ONNX file's own, on the samples it was proven with.
    """

    max_abs: float
    max_rel: float
    median_rel: float
    tolerance: float
    top1_agreement: float
    batches: tuple[int, ...]
    n: int
    logits: Floats

    def __post_init__(self) -> None:
        _freeze(self.logits)


@dataclass(frozen=True, kw_only=True, eq=False)
class PreconditionResult:
    """The twin on the clean samples: logits (N, K), accuracy, and reasons not to judge."""

    logits: Floats
    clean_accuracy: float
    covered_classes: int
    reasons: tuple[str, ...]

    def __post_init__(self) -> None:
        _freeze(self.logits)


@dataclass(frozen=True, kw_only=True, eq=False)
class SiteStatistics:
    """Clean mean and standard deviation (C,) of one site's channels, over samples and positions."""

    mean: Floats
    deviation: Floats

    def __post_init__(self) -> None:
        _freeze(self.mean, self.deviation)


@dataclass(frozen=True, kw_only=True, eq=False)
class UntargetedNoise:
    """Noise that raises the loss on clean samples (the paper's).

    `scale` and `shift` hold δ and ξ per site, each (C,), in [−epsilon, epsilon]; `loss` (steps,) is
    the cross entropy along the way; `predictions` (K,) counts classes under the final noise.
    """

    epsilon: float
    scale: tuple[Floats, ...]
    shift: tuple[Floats, ...]
    loss: Floats
    predictions: Integers
    accuracy: float

    def __post_init__(self) -> None:
        _freeze(*self.scale, *self.shift, self.loss, self.predictions)


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetedNoise:
    """Noise that pulls every clean sample to one class, for every class, as its bound grows.

    `epsilons` (S,) are the bounds of the sweep; `flips` (S, K) the share in [0, 1] of samples of
    other classes that go to each class; `worst_source` (S, K) the same share among those source
    classes that resist most; `pull` (S, K) the mean margin of the target over the largest other
    logit, in clean leads; `chosen` is the index of the bound that suits this model; `by_site`
    (K, sites) is what the noise of each site has added to `pull` on the way to that bound:
    Σ Δn · ∇ over steps and channels.
    """

    epsilons: Floats
    flips: Floats
    worst_source: Floats
    pull: Floats
    chosen: int
    by_site: Floats

    def __post_init__(self) -> None:
        _freeze(self.epsilons, self.flips, self.worst_source, self.pull, self.by_site)

    @property
    def epsilon(self) -> float:
        """The bound on |δ| and |ξ| that suits this model."""
        return float(self.epsilons[self.chosen])


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskResult:
    """The feature mask m (F) in [0, 1]: m·f keeps the benign features, (1 − m)·f the rest.

    `benign_loss` and `other_loss` (epochs,) are the two cross entropies; `predictions` (K,) counts
    classes when only the non-benign features are left and the untargeted noise is on.
    """

    mask: Floats
    benign_loss: Floats
    other_loss: Floats
    benign_accuracy: float
    predictions: Integers

    def __post_init__(self) -> None:
        _freeze(self.mask, self.benign_loss, self.other_loss, self.predictions)


@dataclass(frozen=True, kw_only=True, eq=False)
class BlendResult:
    """How far one blended pattern per class carries samples of other classes.

    `margins` (K,) of faint and `strong` (K,) of stronger patterns say by how much the target's
    logit exceeds the largest other, on average and in clean leads (`targets.clean_lead`);
    `sureness` (K,) how surely it does under the faint one (`targets.sureness`); `pattern` (*input
    shape) is the faint one of the `leading` class.
    """

    margins: Floats
    sureness: Floats
    strong: Floats
    leading: int
    pattern: Floats

    def __post_init__(self) -> None:
        _freeze(self.margins, self.sureness, self.strong, self.pattern)


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchResult:
    """How far one small square patch per class carries samples of other classes.

    `margins` (K,) say how surely the target wins (`targets.sureness`); `mask` of 0 and 1 and
    `pattern` are those of the `leading` class, which spread over the input shape.
    """

    margins: Floats
    leading: int
    mask: Floats
    pattern: Floats

    def __post_init__(self) -> None:
        _freeze(self.margins, self.mask, self.pattern)


@dataclass(frozen=True, kw_only=True, eq=False)
class WarpResult:
    """How far one smooth warp per class carries samples of other classes.

    `margins` (K,) are told as in `PatchResult`; `flow` (H, W, 2) is the displacement of
    the `leading` class, x before y, in halves of the image's sides.
    """

    margins: Floats
    leading: int
    flow: Floats

    def __post_init__(self) -> None:
        _freeze(self.margins, self.flow)


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassProfile:
    """What the searches say of every class of one model: the natural differences between classes.

    Each is a number per class (K,), larger is more suspicious: its mean margin in clean leads
    (`targets.clean_lead`) under the blended patterns (`blend`, `strong_blend`) and the neuron
    `noise`, and how surely it wins (`targets.sureness`) under the faint pattern (`sure_blend`), the
    `patch` and the `warp`.
    `digest` is the model's, `samples` that of the clean samples.
    """

    name: str
    digest: str
    samples: str
    clean_accuracy: float
    blend: Floats
    sure_blend: Floats
    strong_blend: Floats
    patch: Floats
    warp: Floats
    noise: Floats

    def __post_init__(self) -> None:
        _freeze(self.blend, self.sure_blend, self.strong_blend)
        _freeze(self.patch, self.warp, self.noise)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceResult:
    """What the published algorithm reports: `predictions` (K,) counts classes under its noise with
    its negative mask; `share` in [0, 1] is that of the most frequent class. It has no threshold.
    """

    predictions: Integers
    share: float
    accuracy: float

    def __post_init__(self) -> None:
        _freeze(self.predictions)


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One number per class and what it says: larger is more suspicious; p-value None if it only
    accompanies the verdict.
    """

    name: str
    per_class: tuple[float, ...]
    value: float
    suspected_class: int
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer: label, reasons as sentences, and for a judged model its score and p-value."""

    label: Label
    reasons: tuple[str, ...]
    suspected_class: int | None = None
    p_value: float | None = None
    score: float | None = None
    statistics: tuple[Statistic, ...] = ()
