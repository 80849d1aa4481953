"""The values that flow from stage to stage: frozen, keyword-built, arrays read-only on the CPU.

`OnnxArtifact → TorchTwin → SearchResult … → ClassProfile → Verdict`

Letters in shapes: N samples, K classes, C channels of a site, F the shape of a sample's features.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from stages.errors import NoNoiseSites
from stages.later import fx, torch
from stages.verdict_label import Label

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Severity = Literal["note", "warning", "blocking"]
Value = TypeVar("Value")
AFFECTS_RESULT = "affects_result"
"""The mark in a setting's metadata, true where it is missing; keys and profiles read it."""


def freeze(*arrays: npt.NDArray[np.generic]) -> None:
    """Makes arrays read-only."""
    for array in arrays:
        array.setflags(write=False)


def unkeyed(default: Value) -> Value:
    """The default of a setting that cannot change a result, so that no key depends on it."""
    return field(default=default, metadata={AFFECTS_RESULT: False})


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
    they are laid out. `peeled` names the operators behind the raw scores that keep their order,
    from the output back, and `unscanned` the outputs that do not follow from the scores.
    `class_names` are what the file's metadata calls the classes, empty where it says nothing.
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
    peeled: tuple[str, ...] = ()
    unscanned: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    def twin_digest(self) -> str:
        """What stands for the scores that are searched: the file, and which of its outputs."""
        if not self.unscanned:
            return self.digest
        return hashlib.sha256(f"{self.digest} {self.output.name}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class CleanSamples:
    """Clean images (N, *input shape without batch) float32, in the model's own input space, and
    labels (N,) int64.

    `class_names` are the names of classes 0, 1, … where they are known, and `provenance` says how
    the images were made of pictures, as the text of a JSON object. Neither is in the digest.
    """

    images: Floats
    labels: Integers
    class_names: tuple[str, ...] = ()
    provenance: str = ""
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        freeze(self.images, self.labels)
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


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """How a twin computes while it is searched.

    `precision` is that of passes whose gradients lead a search; whatever is evaluated is in
    float32. `layout` is how images and filters lie in memory.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    layout: Literal["contiguous", "channels_last"] = "contiguous"


TWIN_VERSION = 2
"""Raised when a file becomes another twin than before, whose remembered results do not count."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TorchTwin:
    """The differentiable torch copy of an ONNX model, in eval mode, and where to touch it.

    `features` and `classifier` are fx node names: the last feature map before pooling, and the
    final layer that turns features into K logits; None where several layers do. `sites` are ordered
    from input to output. `arithmetic` is how searches compute (`stages.twin.arithmetic`).
    """

    module: fx.GraphModule
    digest: str
    device: torch.device
    classes: int
    trainable_share: float
    sites: tuple[NoiseSite, ...]
    features: str | None
    classifier: str | None
    arithmetic: Arithmetic = field(default_factory=Arithmetic)

    @property
    def feature_map(self) -> str:
        """The node of the features that one last layer reads.

        Raises:
            NoNoiseSites: there are several last layers.
        """
        if self.features is None:
            raise NoNoiseSites("several last layers compute the logits, so no features are theirs")
        return self.features


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
        freeze(self.logits)


@dataclass(frozen=True, kw_only=True, eq=False)
class PreconditionResult:
    """The twin on the clean samples: logits (N, K), accuracy, and reasons not to judge.

    `alike` are pairs of a class that is not searched and an earlier one that has the same scores.
    """

    logits: Floats
    clean_accuracy: float
    covered_classes: int
    reasons: tuple[str, ...]
    alike: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        freeze(self.logits)

    @property
    def unsearched(self) -> tuple[int, ...]:
        """The classes that are not searched, as an earlier one has the same scores."""
        return tuple(later for later, _ in self.alike)


@dataclass(frozen=True, kw_only=True, eq=False)
class SiteStatistics:
    """Clean mean and standard deviation (C,) of one site's channels, over samples and positions."""

    mean: Floats
    deviation: Floats

    def __post_init__(self) -> None:
        freeze(self.mean, self.deviation)


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One number per class (K,) by its full name; larger is more suspicious.

    It is None for a class that was not searched to the end, of which nothing is said.
    """

    name: str
    unit: str
    per_class: tuple[float | None, ...]

    @classmethod
    def of(cls, name: str, unit: str, values: Floats) -> Statistic:
        """The statistic of values (K,), of which some may be NaN."""
        known = tuple(None if np.isnan(each) else each for each in values.tolist())
        return cls(name=name, unit=unit, per_class=known)

    @property
    def value(self) -> float:
        """The largest of them."""
        return max(each for each in self.per_class if each is not None)

    @property
    def median(self) -> float:
        """The median of them."""
        return float(np.median([each for each in self.per_class if each is not None]))

    @property
    def leading_class(self) -> int:
        """The class that has it."""
        return self.per_class.index(self.value)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer: label and reasons as sentences, and for a judged model the numbers behind it.

    `anomaly_score` is the largest of the `class_scores` (K,) and blocks from the `critical_value`
    on. `p_value` is how often the largest score of a clean model is as large; where `p_is_bound`,
    it is only known to be smaller. `outside` says in which respect the model is unlike those that
    the calibration was measured on, and is empty if it is not. `statistics` are what the scores are
    made of, `published` what published algorithms say beside them.
    """

    label: Label
    reasons: tuple[str, ...]
    suspected_class: int | None = None
    anomaly_score: float | None = None
    critical_value: float | None = None
    p_value: float | None = None
    p_is_bound: bool = False
    class_scores: tuple[float, ...] = ()
    statistics: tuple[Statistic, ...] = ()
    outside: str = ""
    published: tuple[Statistic, ...] = ()

    @property
    def leading_class(self) -> int | None:
        """The class with the largest score, suspected or not."""
        scores = self.class_scores
        return scores.index(max(scores)) if scores else None
