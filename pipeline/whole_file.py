"""Holds what the whole file decides against what the searched scores decide, in a scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pipeline.intake.sandbox import Sandbox
from pipeline.prepare import Prepared
from stages.searches.search import SearchResult
from stages.twin.alike import Alike
from stages.twin.precondition import predict
from stages.twin.whole_file import CHUNK, SIZES, findings_of, run_whole
from stages.types import CleanSamples, Floats, GraphFinding, PreconditionResult

SHOWN = 8
"""Clean samples on which each trigger is laid."""


def on_samples(
    prepared: Prepared, clean: PreconditionResult, sandbox: Sandbox
) -> tuple[GraphFinding, ...]:
    """Where the file decides otherwise on the clean samples, or is less often right."""
    samples, tolerance = prepared.samples, prepared.parity.tolerance
    whole = sandbox.run(run_whole, prepared.artifact, samples, (CHUNK,))
    return findings_of(whole, clean.logits, tolerance, "clean samples", samples.labels, clean.alike)


def on_found(
    prepared: Prepared,
    results: Mapping[str, SearchResult],
    alike: Alike,
    sandbox: Sandbox,
) -> tuple[GraphFinding, ...]:
    """Where the file decides otherwise on what the searches found, and on extreme images."""
    images = np.concatenate(list(_extremes(prepared.samples, results)))
    shown = CleanSamples(images=images, labels=np.zeros(len(images), np.int64))
    logits = predict(prepared.twin, images)
    whole = sandbox.run(run_whole, prepared.artifact, shown, SIZES)
    what = "images with the triggers that were found, and extremes"
    return findings_of(whole, logits, prepared.parity.tolerance, what, alike=alike)


def _extremes(samples: CleanSamples, results: Mapping[str, SearchResult]) -> Iterator[Floats]:
    """Images under every trigger, flat images at the ends of the range, and noise between them."""
    few = samples.images[:SHOWN]
    low, high = float(samples.images.min()), float(samples.images.max())
    for result in results.values():
        if result.trigger is not None:
            yield result.trigger.apply(few).astype(np.float32)
    rng = np.random.default_rng(0)
    yield np.stack([np.full_like(few[0], value) for value in (low, (low + high) / 2, high)])
    yield rng.uniform(low, high, few.shape).astype(np.float32)
