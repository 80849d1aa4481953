"""Why a model is not judged on its samples, with what was found to be wrong with them."""

from __future__ import annotations

from functools import partial

from pipeline.config import ScanConfig
from pipeline.prepare import Prepared
from pipeline.samples.diagnosis import diagnosis
from stages.guessing import above_guessing
from stages.twin.precondition import predict
from stages.types import PreconditionResult


def explained(prepared: Prepared, clean: PreconditionResult, config: ScanConfig) -> tuple[str, ...]:
    """The reasons of failed preconditions, after a sentence on what would mend a poor accuracy."""
    enough = above_guessing(config.precondition.min_accuracy, prepared.twin.classes)
    if clean.clean_accuracy >= enough:
        return clean.reasons
    classify, spec = partial(predict, prepared.twin), prepared.artifact.input
    found = diagnosis(prepared.samples, clean.logits, spec, classify, enough)
    return (found, *clean.reasons) if found else clean.reasons
