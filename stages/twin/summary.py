"""What reports show of a torch twin, which itself is never stored."""

from __future__ import annotations

from dataclasses import dataclass

from stages.types import Arithmetic, NoiseSite, TorchTwin


@dataclass(frozen=True, kw_only=True)
class TwinSummary:
    """Classes, noise sites, the split into features and classifier, and how a twin computes."""

    classes: int
    trainable_share: float
    sites: tuple[NoiseSite, ...]
    features: str | None
    classifier: str | None
    device: str
    arithmetic: Arithmetic


def summarise(twin: TorchTwin) -> TwinSummary:
    """The summary of a twin."""
    return TwinSummary(
        classes=twin.classes,
        trainable_share=twin.trainable_share,
        sites=twin.sites,
        features=twin.features,
        classifier=twin.classifier,
        device=str(twin.device),
        arithmetic=twin.arithmetic,
    )
