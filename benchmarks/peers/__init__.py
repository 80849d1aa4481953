"""Published backdoor detectors, written from their papers, to compare the scan with.

Each module has a `Config` with the published settings and one function
`find(twin, samples, config, seed)` that gives a `Finding`: `neural_cleanse` inverts the smallest
trigger of every class, `mm_bd` looks for an outlying largest margin, `bti_dbf` trains a generator
that keeps the benign features, `ban` is the published noise and mask. They are deterministic for a
given seed on one machine, run on the twin's device and leave the twin as they found it. Images are
(N, C, H, W); the valid range of a pixel is that of its channel in the clean samples. Where a
method differs from its paper or code, its module says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.types import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Finding:
    """What a detector says of one model.

    `per_class` (K,) is larger for a more suspicious class; `score` is the method's own anomaly
    measure of the most suspicious class, which its threshold would apply to.
    """

    per_class: Floats
    score: float
    suspected_class: int
