"""What a scan leaves behind: the verdict, and every piece of evidence that was reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.config import ScanConfig
from pipeline.native import ExportResult
from stages.label import Label
from stages.types import (
    BlendResult,
    CleanSamples,
    GraphFinding,
    MaskResult,
    NoiseSite,
    OnnxArtifact,
    ParityResult,
    PatchResult,
    PreconditionResult,
    ReferenceResult,
    SiteStatistics,
    TargetedNoise,
    TorchTwin,
    UntargetedNoise,
    Verdict,
)


@dataclass(frozen=True, kw_only=True)
class TwinSummary:
    """What a reader should know of the torch twin, which itself is never stored."""

    classes: int
    trainable_share: float
    sites: tuple[NoiseSite, ...]
    features: str
    classifier: str
    device: str


def summarise(twin: TorchTwin) -> TwinSummary:
    """The summary of a twin."""
    return TwinSummary(
        classes=twin.classes,
        trainable_share=twin.trainable_share,
        sites=twin.sites,
        features=twin.features,
        classifier=twin.classifier,
        device=str(twin.device),
    )


@dataclass(frozen=True, kw_only=True)
class ReferenceSummary:
    """What a reader should know of a reference: its verdict by itself, and whether it was used."""

    uri: str
    digest: str
    verdict: Label
    p_value: float
    used: bool


@dataclass(kw_only=True, eq=False)
class Evidence:
    """The results of the stages, in the order of the walk; None where the walk did not come."""

    export: ExportResult | None = None
    artifact: OnnxArtifact | None = None
    samples: CleanSamples | None = None
    parity: ParityResult | None = None
    twin: TwinSummary | None = None
    precondition: PreconditionResult | None = None
    blend: BlendResult | None = None
    patch: PatchResult | None = None
    references: tuple[ReferenceSummary, ...] = ()
    site_statistics: tuple[SiteStatistics, ...] | None = None
    targeted: TargetedNoise | None = None
    untargeted: UntargetedNoise | None = None
    mask: MaskResult | None = None
    reference: ReferenceResult | None = None

    @property
    def findings(self) -> tuple[GraphFinding, ...]:
        """What inspection found in the graph; nothing where the walk did not come that far."""
        return self.artifact.findings if self.artifact else ()


@dataclass(frozen=True, kw_only=True, eq=False)
class ScanResult:
    """A finished scan, also of a model that could not be judged.

    `seconds` holds the wall time of each stage by name; `reused` names the stages whose earlier
    result was taken from the store; `peak_rss_mb` is the process's largest resident memory in MiB.
    """

    model_uri: str
    config: ScanConfig
    verdict: Verdict
    evidence: Evidence
    seconds: Mapping[str, float]
    reused: tuple[str, ...]
    peak_rss_mb: float
    environment: Mapping[str, str]
