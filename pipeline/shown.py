"""What the model sees in a few clean samples under the triggers that were found, for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.prepare import Prepared
from stages.searches.search import SearchResult
from stages.twin.precondition import predict
from stages.types import CleanSamples, Integers, PreconditionResult

MOST = 4
"""Clean samples that are shown beside a trigger."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """Places (n,) of clean samples, and the classes (n,) the model sees in them under a trigger."""

    places: Integers
    predicted: Integers


def shown_under(
    prepared: Prepared, clean: PreconditionResult, results: Mapping[str, SearchResult]
) -> dict[str, Shown]:
    """The same samples for a reader of every report, by the name of the search.

    Only searches that recovered something that can be laid on an image have any.
    """
    found = {}
    for name, result in results.items():
        if result.trigger is None or not result.targets:
            continue
        places = examples(prepared.samples, result, clean)
        if not len(places):
            continue
        images = result.trigger.apply(prepared.samples.images[places])
        logits = predict(prepared.twin, images.astype(np.float32))
        found[name] = Shown(places=places, predicted=logits.argmax(1).astype(np.int64))
    return found


def examples(
    samples: CleanSamples, found: SearchResult, clean: PreconditionResult | None = None
) -> Integers:
    """The places of the first sample of each of the first few classes but the target, or of the
    first few samples of the one class that a trigger is for.

    Where predictions are known, samples that are classified as labelled come first.
    """
    wrong = np.zeros(len(samples), bool)
    if clean is not None:
        wrong = clean.logits.argmax(1) != samples.labels
    order = np.argsort(wrong, kind="stable")
    labels = samples.labels[order]
    if found.success is not None and found.success.source is not None:
        places: Integers = order[labels == found.success.source]
    else:
        classes, first = np.unique(labels, return_index=True)
        places = order[first[classes != found.accused]]
    return places[:MOST]
