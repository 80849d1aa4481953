"""What a gate states of a scan: the facts it decides on, the claim it signs, the tags it sets."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from mlflow_project import tracking
from mlflow_project.registry.recorded import GIVEN_UP_TAG
from mlflow_project.registry.versions import ModelVersion
from mlflow_project.run_contents import LONGEST_TAG
from pipeline.changed_settings import changed_settings
from pipeline.config import config_digest
from pipeline.evidence import Evidence, ScanResult
from pipeline.file_digest import file_digest
from pipeline.gate.acceptance import PACKAGE
from pipeline.gate.attestation import Claim, file_digests, files_digest
from pipeline.gate.decision import GateDecision, ScanFacts
from pipeline.gate.policy import Policy, policy_digest
from pipeline.gate.provenance import Provenance
from pipeline.printable import printable
from pipeline.report.wording import p_text
from stages.export.detect import place_of

TAGS = {
    "ban.verdict": "verdict",
    "ban.gate": "action",
    "ban.digest": "content_digest",
    "ban.judged": "judged",
    "ban.run_id": "run_id",
    "ban.anomaly_score": "anomaly_score",
    "ban.critical_value": "critical_value",
    "ban.suspected_class": "suspected_class",
    "ban.policy": "policy_digest",
    "ban.waiver": "waiver",
    "ban.gated_at": "time",
    "ban.copied_from": "copied_from",
}
"""Tags of a version, each from one field of the claim; a field that is None has no tag."""
FORMER_TAGS = ("ban.p_value", "ban.score", GIVEN_UP_TAG)
"""Tags that a version may have from an earlier gate, also from an earlier release."""

UNSAID = "the scan does not say how far it was isolated"


def provenance_of(result: ScanResult, given: Iterable[str]) -> Provenance:
    """How a verdict came about; `given` are the digests of references that the caller brought."""
    evidence, config, environment = result.evidence, result.config, result.environment
    samples, precondition = evidence.samples, evidence.precondition
    found = {f"{each.severity} {each.rule}" for each in evidence.findings}
    extent = evidence.extent
    return Provenance(
        scanner=environment.get(PACKAGE, ""),
        device=environment.get("device", ""),
        seed=config.seed,
        settings_digest=config_digest(config),
        changed_settings=changed_settings(config),
        samples_digest=samples.digest if samples else None,
        samples=len(samples) if samples else 0,
        clean_accuracy=precondition.clean_accuracy if precondition else None,
        references=tuple(f"{each.uri} sha256:{each.digest}" for each in evidence.references),
        given_references=tuple(given),
        findings=tuple(sorted(printable(each) for each in found)),
        isolation_missing=_missing(evidence),
        unfinished="" if extent.settled else printable(extent.unfinished),
    )


def facts_of(version: ModelVersion, result: ScanResult, provenance: Provenance) -> ScanFacts:
    """What the decision on this version needs to know of its scan."""
    artifact, verdict, judged = result.evidence.artifact, result.verdict, result.evidence.judged
    return ScanFacts(
        model=version.name,
        version=version.version,
        verdict=verdict.label,
        provenance=provenance,
        p_value=verdict.p_value,
        p_is_bound=verdict.p_is_bound,
        outside=verdict.outside,
        unscanned=artifact.unscanned if artifact else (),
        unexplained=judged.unexplained if judged else (),
        accepted_files=judged.accepted_files if judged else (),
        content_digest=artifact.content_digest if artifact else None,
    )


def claim_of(
    facts: ScanFacts,
    result: ScanResult,
    decision: GateDecision,
    policy: Policy,
    now: datetime,
    *,
    rehearsal: bool,
) -> Claim:
    """What is signed about a decision that the open run records."""
    verdict, judged = result.verdict, result.evidence.judged
    reasons = (printable(each)[:LONGEST_TAG] for each in _reasons(result, decision))
    return Claim(
        model=facts.model,
        version=facts.version,
        verdict=facts.verdict,
        action=decision.action,
        outcome=decision.outcome,
        reasons=tuple(reasons),
        policy_digest=policy_digest(policy),
        run_id=tracking.open_run_id(),
        time=now.isoformat(timespec="seconds"),
        provenance=facts.provenance,
        anomaly_score=verdict.anomaly_score,
        critical_value=verdict.critical_value,
        p_value=facts.p_value,
        p_is_bound=facts.p_is_bound,
        outside=facts.outside,
        unscanned=facts.unscanned,
        judged=judged.name if judged else None,
        unexplained=facts.unexplained,
        accepted_files=facts.accepted_files,
        suspected_class=verdict.suspected_class,
        content_digest=facts.content_digest,
        waiver=str(decision.waiver) if decision.waiver else None,
        rehearsal=rehearsal,
    )


def tags_of(claim: Claim) -> dict[str, str]:
    """The tags that tell people what was decided."""
    values = {key: getattr(claim, name) for key, name in TAGS.items()}
    tags = {key: printable(str(value)) for key, value in values.items() if value is not None}
    if claim.p_value is not None:
        tags["ban.p_value"] = p_text(claim.p_value, claim.p_is_bound)
    return {**tags, "ban.reason": "; ".join(claim.reasons)[:LONGEST_TAG]}


def given_digest(model: str) -> str:
    """The sha256 of a reference that the caller brought: of its file, or of all in its folder."""
    path: Path = place_of(model)[0]
    if not path.is_dir():
        return file_digest(path)
    return files_digest(file_digests(path))


def _missing(evidence: Evidence) -> tuple[str, ...]:
    """What the isolation of the child processes lacked; a scan that does not say lacked it all."""
    if evidence.isolation is None:
        return (UNSAID,)
    return tuple(printable(each) for each in evidence.isolation.missing)


def _reasons(result: ScanResult, decision: GateDecision) -> tuple[str, ...]:
    """Why the gate decides so, then why the verdict is what it is."""
    return (*decision.reasons, *(" ".join(each.split()) for each in result.verdict.reasons))
