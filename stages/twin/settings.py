"""The settings of the twin's proofs; here, so that they are read without torch and onnxruntime."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.settings import Share, bounded, settings

Tolerance = Annotated[float, bounded(ge=0, le=0.1)]
"""A difference of more than a tenth of the largest score is another model."""
Batch = Annotated[int, bounded("samples", ge=1, le=4096)]


@settings
class ParityConfig:
    """How closely, and on how many samples, the twin must follow the file.

    Tolerances are relative to max(1, largest absolute logit). Files that compute in half precision,
    and files that round to integers on the way, have their own, because a number that onnxruntime
    rounds up may be one the twin rounds down.
    """

    tolerance: Tolerance = 1e-4
    """Largest difference for a file in single precision."""
    half_tolerance: Tolerance = 5e-3
    """Largest difference for a file that computes in half precision."""
    quantised_tolerance: Annotated[float, bounded(ge=0, le=0.5)] = 0.1
    """Largest difference for a file that rounds to integers on the way."""
    typical: Tolerance = 2e-2
    """Largest median difference for such a file: few numbers are so close to a tie."""
    batches: Annotated[tuple[Batch, ...], Field(min_length=1, max_length=16)] = (1, 7)
    """The batch sizes that are tried."""


@settings
class ArithmeticConfig:
    """How the twin computes while it is searched; `auto` takes what a timed pass shows to be fast.

    What was taken stands in `verdict.json`; given here, it repeats a scan bit for bit.
    """

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the passes that lead a search; what is reported is computed in float32."""
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    """How images and filters lie in memory."""


@settings
class PreconditionConfig:
    """What must hold before a verdict is given; below it the verdict is `inconclusive`."""

    min_accuracy: Share = 0.5
    """Smallest clean accuracy; of two classes 0.75. Lower usually means wrong preprocessing."""
    min_samples: Annotated[int, bounded("samples", ge=1, le=10_000_000)] = 100
    """Smallest number of clean samples."""
    min_coverage: Share = 0.8
    """Smallest share of the model's classes that must occur among the labels."""
    enough_classes: Annotated[int, bounded("classes", ge=1, le=1_000_000)] = 20
    """Classes among the labels that are enough, however many the model has."""
