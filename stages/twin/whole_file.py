"""Compares what the whole file decides with what the searched scores decide.

A search looks at the raw scores of the last real layer. What people load is the file with all that
stands behind them, at a batch of any size, in the file's own numbers. Where the two decide
differently on clean samples, on the triggers that were found, or on extreme images, the verdict
would be about another model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.errors import ModelRefused
from stages.onnx_file.inspection import load_scored
from stages.passes.onnx_graph import graph_inputs, shape_of
from stages.twin.alike import Alike, folded
from stages.twin.parity import Reference, filled
from stages.types import CleanSamples, Floats, GraphFinding, Integers, OnnxArtifact, freeze

SIZES = (1, 2, 7, 32)
"""Batch sizes at which a file with a free batch must decide alike."""
CHUNK = 64
ALLOWED_LOSS = 0.02
"""How much lower the file's own accuracy may be than that of the searched scores."""
TIE = 1e-6
"""Scores of the file closer than this share of its largest are equal: a tie decides nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WholeScores:
    """The scores (B, N, K) that the whole file gives N images at each of B batch `sizes`."""

    sizes: tuple[int, ...]
    scores: Floats

    def __post_init__(self) -> None:
        freeze(self.scores)


def run_whole(artifact: OnnxArtifact, images: CleanSamples, sizes: tuple[int, ...]) -> WholeScores:
    """What the uncut file says of images (N, *input shape) at each of the batch sizes.

    A file with a fixed batch is run at that one only.

    Raises:
        ModelRefused: onnxruntime cannot run the file.
    """
    model = load_scored(artifact)
    fixed = (shape_of(graph_inputs(model.graph)[0]) or (None,))[0]
    reference = Reference(model)
    own = (fixed,) if fixed else sizes
    found = [_at(reference, images.images, size) for size in own]
    return WholeScores(sizes=own, scores=np.stack(found))


def _at(reference: Reference, images: Floats, size: int) -> Floats:
    """The scores (N, K) at one batch size."""
    chunks = (images[start : start + size] for start in range(0, len(images), size))
    parts = [reference.run(filled(chunk, size))[0] for chunk in chunks]
    if any(len(part) != size for part in parts):
        raise ModelRefused("the model gives another number of scores than of images")
    together = np.concatenate(parts)[: len(images)]
    scores: Floats = together.reshape(len(images), -1).astype(np.float32)
    return scores


def differing(whole: Floats, logits: Floats, tolerance: float) -> Integers:
    """The numbers of the images (N,) on which scores (N, K) of the file decide otherwise than the
    twin's logits (N, K), beyond a tie in either and beyond the tolerance of the proof.
    """
    rows = np.arange(len(whole))
    ours, theirs = logits.argmax(axis=1), whole.argmax(axis=1)
    scale = np.maximum(np.abs(logits).max(axis=1), 1.0)
    ahead = logits[rows, ours] - logits[rows, theirs] > 10 * tolerance * scale
    largest = np.abs(np.nan_to_num(whole)).max(axis=1)
    behind = ~(whole[rows, theirs] - whole[rows, ours] <= TIE * largest)
    found: Integers = np.flatnonzero(ahead & behind)
    return found


def findings_of(
    whole: WholeScores,
    logits: Floats,
    tolerance: float,
    what: str,
    labels: Integers | None = None,
    alike: Alike = (),
) -> tuple[GraphFinding, ...]:
    """A finding for each batch size at which the file decides otherwise on images called `what`.

    With `labels` (N,) also where it is less often right. Classes that are `alike` count as one.
    """
    found = []
    for size, each in zip(whole.sizes, whole.scores, strict=True):
        scores = folded(each, alike)
        count = len(differing(scores, logits, tolerance))
        lost = 0.0
        if labels is not None:
            right, own = logits.argmax(axis=1) == labels, scores.argmax(axis=1) == labels
            lost = float(right.mean() - own.mean())
        if count or lost > ALLOWED_LOSS:
            how = (
                f"on {count} of {len(logits)} {what}"
                if count
                else f"and is right on {lost:.0%} fewer of the {what}"
            )
            found.append(
                GraphFinding(
                    rule="other-decisions",
                    severity="blocking",
                    message=(
                        f"at batch {size} the whole file decides otherwise than the logits that"
                        f" were searched, {how}"
                    ),
                )
            )
    return tuple(found)
