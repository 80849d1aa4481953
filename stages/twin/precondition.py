"""Whether clean samples and model fit together well enough for a verdict."""

from __future__ import annotations

import numpy as np

from stages.guessing import above_guessing
from stages.later import torch, without_gradients
from stages.stage import stage
from stages.twin.portions import portions
from stages.twin.settings import PreconditionConfig
from stages.types import CleanSamples, Floats, PreconditionResult, TorchTwin


@stage(version=2)
def check_preconditions(
    twin: TorchTwin, samples: CleanSamples, config: PreconditionConfig
) -> PreconditionResult:
    """The twin's clean logits (N, K), its accuracy, and a sentence per precondition that fails."""
    logits = predict(twin, samples.images)
    accuracy = float((logits.argmax(1) == samples.labels).mean())
    return PreconditionResult(
        logits=logits,
        clean_accuracy=accuracy,
        covered_classes=samples.classes,
        reasons=tuple(_failures(twin, samples, accuracy, config)),
    )


@without_gradients
def predict(twin: TorchTwin, images: Floats) -> Floats:
    """Logits (N, K) float32 of images (N, *input shape), computed on the twin's device."""
    parts = portions(twin.module, images, twin.device)
    logits: Floats = torch.cat([twin.module(each).cpu() for each in parts]).numpy()
    return logits


def _failures(
    twin: TorchTwin, samples: CleanSamples, accuracy: float, config: PreconditionConfig
) -> list[str]:
    reasons = []
    enough = above_guessing(config.min_accuracy, twin.classes)
    if accuracy < enough:
        reasons.append(
            f"clean accuracy is {accuracy:.2f}, at least {enough:.2f} is needed; the"
            " likely cause is preprocessing: check range, mean and standard deviation, channel"
            " order and label numbering of the samples"
        )
    if len(samples) < config.min_samples:
        reasons.append(
            f"only {len(samples)} clean samples, at least {config.min_samples} are needed"
        )
    needed = min(int(np.ceil(config.min_coverage * twin.classes)), config.enough_classes)
    if samples.classes < needed:
        reasons.append(
            f"the samples cover {samples.classes} of the model's {twin.classes} classes,"
            f" at least {needed} are needed"
        )
    return reasons
