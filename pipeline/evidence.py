"""What a scan leaves behind: the verdict, and every piece of evidence that was reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.config import ScanConfig
from pipeline.intake.native import ExportResult
from pipeline.intake.sandbox import Isolation
from pipeline.intake.whole_folder import Judged
from pipeline.pace.estimate import Estimate
from pipeline.pace.extent import Extent
from pipeline.printable import printable
from pipeline.shown import Shown
from stages.class_names import Names
from stages.published.results import BanResult, MaskResult, UntargetedNoise
from stages.searches.search import SearchResult, Sweep
from stages.twin.summary import TwinSummary
from stages.types import (
    CleanSamples,
    GraphFinding,
    OnnxArtifact,
    ParityResult,
    PreconditionResult,
    Verdict,
)
from stages.verdict_label import Label


@dataclass(frozen=True, kw_only=True)
class ReferenceSummary:
    """What a reader should know of a reference: its verdict by itself, with no p-value where it
    has too few classes for one, and whether it was used.
    """

    uri: str
    digest: str
    verdict: Label
    p_value: float | None
    p_is_bound: bool
    used: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What the steps of a scan found, in their order; None or empty where the scan did not come.

    `isolation` says how far the processes that read the model were kept apart, `searches` holds the
    results of the searches by their names, `shown` what the model sees in a few samples under their
    triggers, `decisions` where the whole file was found to decide otherwise than the scores that
    were searched. `estimate` is what the searches were expected to take, None where all was kept,
    and `searched_seconds` what they took; `extent` says whether the whole scan was done.
    """

    isolation: Isolation | None = None
    judged: Judged | None = None
    export: ExportResult | None = None
    artifact: OnnxArtifact | None = None
    samples: CleanSamples | None = None
    parity: ParityResult | None = None
    twin: TwinSummary | None = None
    decisions: tuple[GraphFinding, ...] = ()
    precondition: PreconditionResult | None = None
    searches: Mapping[str, SearchResult] = field(default_factory=dict)
    shown: Mapping[str, Shown] = field(default_factory=dict)
    references: tuple[ReferenceSummary, ...] = ()
    untargeted: UntargetedNoise | None = None
    mask: MaskResult | None = None
    ban: BanResult | None = None
    estimate: Estimate | None = None
    searched_seconds: float = 0.0
    extent: Extent = field(default_factory=Extent)

    @property
    def class_names(self) -> Names:
        """The names of classes 0, 1, … as reports show them, each printable; empty if unknown."""
        names: Names = ()
        if self.samples:
            names = self.samples.class_names
        elif self.artifact and self.artifact.output.shape[-1:] == (len(self.artifact.class_names),):
            names = self.artifact.class_names
        return tuple(map(printable, names))

    @property
    def findings(self) -> tuple[GraphFinding, ...]:
        """What was found in the graph, and where the whole file decides otherwise."""
        return (*(self.artifact.findings if self.artifact else ()), *self.decisions)

    @property
    def sweep(self) -> Sweep | None:
        """How the success of neuron noise grows with its bound, if a search swept it."""
        return self.swept.sweep if self.swept else None

    @property
    def swept(self) -> SearchResult | None:
        """The result of the search that swept the bound of neuron noise."""
        return next((each for each in self.searches.values() if each.sweep), None)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScanResult:
    """A finished scan, also of a model that could not be judged.

    `done` names the steps that ended well; `seconds` holds the wall time of each step begun by its
    name; `reused` names those whose earlier result was taken from the store; `peak_rss_mb` is the
    process's largest resident memory in MiB; `ended` the moment of the verdict, in UTC.
    """

    model_uri: str
    config: ScanConfig
    verdict: Verdict
    evidence: Evidence
    done: tuple[str, ...]
    seconds: Mapping[str, float]
    reused: tuple[str, ...]
    peak_rss_mb: float
    environment: Mapping[str, str]
    ended: datetime
