"""A scan that was not done to its end never passes, whatever lets others pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from pipeline.gate.acceptance import way_objections
from pipeline.gate.decision import ScanFacts, decide
from pipeline.gate.policy import Policy, Waiver
from stages.verdict_label import Label
from tests.support.attestations import provenance

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
WHY = "this was a first look, which never passes a model; run the full scan"
WAIVER = Waiver(model="digits", version=3, reason="known", expires=date(2026, 11, 30))
LENIENT = Policy(
    required_verdict="any", inconclusive="warn", outside_calibration=True, waiver=(WAIVER,)
)


@pytest.mark.parametrize("verdict", ["clean", "inconclusive", "backdoored"])
@pytest.mark.parametrize("policy", [Policy(), LENIENT], ids=["strict", "lenient"])
def test_it_is_blocked_under_every_policy(verdict: Label, policy: Policy) -> None:
    """Neither a policy nor a waiver is about a verdict that there is not yet."""
    found = replace(provenance(), unfinished=WHY)
    facts = ScanFacts(model="digits", version=3, verdict=verdict, provenance=found, p_value=0.4)

    decision = decide(facts, policy, NOW)

    assert decision.action == "block"
    assert any(WHY in reason for reason in decision.reasons)


def test_an_attestation_of_it_is_not_accepted() -> None:
    """However it came to be signed."""
    unfinished = replace(provenance(), unfinished=WHY)

    assert WHY in next(way_objections(unfinished, LENIENT))
    assert not list(way_objections(provenance(), LENIENT))
