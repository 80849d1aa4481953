"""What a gate and a verification say: one line, or a document, the same wherever it is read."""

from __future__ import annotations

from mlflow_project.gate.gate import GateOutcome
from pipeline.gate.verification import Verification
from pipeline.printable import printable
from pipeline.report.verdict_json import summary


def gate_line(outcome: GateOutcome) -> str:
    """Decision, verdict, numbers, and what became of the alias."""
    waiver = [str(outcome.decision.waiver)] if outcome.decision.waiver else []
    parts = [f"{outcome.decision.action:<5}", summary(outcome.result), *waiver]
    if outcome.promotion and outcome.promotion.moved:
        parts.append(_move(outcome))
    if outcome.dry_run:
        parts.append("(dry run)")
    return printable("  ".join((*parts, *outcome.objections)))


def gate_document(outcome: GateOutcome) -> dict[str, object]:
    """The same for programs (schema 1)."""
    promotion, claim = outcome.promotion, outcome.claim
    return {
        "schema": 1,
        "gate": claim.action,
        "passed": outcome.passed,
        "model": claim.model,
        "version": claim.version,
        "verdict": claim.verdict,
        "p_value": claim.p_value,
        "suspected_class": claim.suspected_class,
        "reasons": [*outcome.objections, *claim.reasons],
        "waiver": claim.waiver,
        "content_digest": claim.content_digest,
        "references": list(claim.provenance.references),
        "run_id": claim.run_id,
        "alias": promotion.alias if promotion else None,
        "moved": bool(promotion and promotion.moved and not outcome.dry_run),
        "previous": promotion.previous if promotion else None,
        "dry_run": outcome.dry_run,
    }


def verification_line(uri: str, found: Verification) -> str:
    """Whether the version passes, and why."""
    return printable(
        f"{'valid' if found.valid else 'invalid':<8}  {uri}  {'; '.join(found.reasons)}"
    )


def verification_document(uri: str, found: Verification) -> dict[str, object]:
    """The same for programs (schema 1)."""
    return {"schema": 1, "valid": found.valid, "model": uri, "reasons": list(found.reasons)}


def _move(outcome: GateOutcome) -> str:
    promotion = outcome.promotion
    assert promotion is not None, "the caller has one"  # noqa: S101 (our own logic)
    before = "none" if promotion.previous is None else promotion.previous
    return f"{promotion.alias}: {before} → {outcome.version.version}"
