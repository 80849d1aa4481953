"""A version passes verification only if everything its attestation says still holds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pipeline.gate.attestation import Attestation, attest
from pipeline.gate.keys import Signer, public_pem
from pipeline.gate.policy import Policy, Waiver
from pipeline.gate.verification import (
    ATTESTATION_TAG,
    Verification,
    VersionFacts,
    trusted_keys,
    verify_version,
)
from tests.support.attestations import KEY, OTHER, PUBLIC, claim

NOW = datetime(2026, 11, 25, 13, tzinfo=UTC)
FILES = {"MLmodel": "11" * 32, "model.onnx": "22" * 32}
CLEAN = {"verdict": "clean", "action": "pass", "outcome": "PASSED", "p_value": 0.4}


def facts(key: Signer = KEY, **changes: Any) -> VersionFacts:
    """A version gated an hour ago, as clean unless the claim is changed."""
    envelope = attest(Attestation(claim=claim(**{**CLEAN, **changes}), files=FILES), key)
    return VersionFacts(name="digits", version=3, tags={ATTESTATION_TAG: envelope}, files=FILES)


def of(facts: VersionFacts, policy: Policy | None = None, now: datetime = NOW) -> Verification:
    return verify_version(facts, policy or Policy(), [PUBLIC], now)


def test_a_version_as_it_was_judged_is_in_good_standing() -> None:
    """Valid, with the claim to show."""
    found = of(facts())

    assert found.valid
    assert found.gated
    assert found.claim is not None
    assert found.claim.run_id == "0123"


def test_a_version_without_attestation_was_never_gated() -> None:
    """Tags that merely say so count for nothing."""
    found = of(replace(facts(), tags={"ban.verdict": "clean", "ban.gate": "pass"}))

    assert not found.valid
    assert not found.gated
    assert "never gated" in found.reasons[0]


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (replace(facts(), name="letters"), "it was copied"),
        (replace(facts(), version=4), "it was copied"),
        (replace(facts(), files={**FILES, "model.onnx": "33" * 32}), "`model.onnx`"),
        (replace(facts(), files={"MLmodel": "11" * 32}), "`model.onnx`"),
        (replace(facts(), files={**FILES, "more.data": "11" * 32}), "`more.data`"),
        (replace(facts(), files={}), "2 file(s) are not those that were judged"),
        (replace(facts(), tags={ATTESTATION_TAG: ""}), "no DSSE envelope"),
        (facts(key=OTHER), "not signed by a trusted key"),
        (facts(verdict="backdoored"), "the policy requires `clean`"),
        (facts(verdict="inconclusive"), "the policy requires `clean`"),
        (facts(p_value=None), "without a p-value"),
        (facts(time="2026-10-01T00:00:00+00:00"), "55 days old, the policy allows 30d"),
        (facts(time="2026-11-25T14:00:00+00:00"), "yet to come"),
    ],
)
def test_whatever_does_not_hold_ends_it(version: VersionFacts, sentence: str) -> None:
    """Copied, tampered with, unsigned, blocked, too old: each is one sentence."""
    found = of(version)

    assert not found.valid
    assert found.gated
    assert sentence in " ".join(found.reasons)


def test_the_clock_of_the_gate_may_be_a_little_ahead() -> None:
    """Machines never agree to the second."""
    assert of(facts(), now=datetime(2026, 11, 25, 11, 58, tzinfo=UTC)).valid


def test_a_verdict_holds_as_long_as_the_policy_says() -> None:
    """To the second."""
    made, policy = datetime(2026, 11, 25, 12, tzinfo=UTC), Policy(max_age="2h")

    assert of(facts(), policy, made + timedelta(hours=2)).valid
    assert not of(facts(), policy, made + timedelta(hours=2, seconds=1)).valid


def test_the_policy_of_now_decides() -> None:
    """Not that of the gate: a stricter rate ends it, a laxer rule lets it pass."""
    doubtful = facts(p_value=0.04)

    assert of(doubtful).valid
    assert not of(doubtful, Policy(false_alarm_rate=0.05)).valid
    assert of(facts(verdict="inconclusive"), Policy(inconclusive="warn")).valid


def test_a_pass_from_outside_of_the_calibration_is_the_policys_to_accept() -> None:
    """The attestation says so under the signature; a policy that accepts it is needed at any time.

    Also where the gate that signed it had one.
    """
    outside = facts(outside="images of 224 pixels")

    refused = of(outside)

    assert not refused.valid
    assert "unlike this one (images of 224 pixels)" in refused.reasons[0]
    assert of(outside, Policy(outside_calibration=True)).valid


def test_a_bound_on_p_does_not_satisfy_a_rate_of_the_policys_own() -> None:
    """It may be smaller than any rate, so only a policy without one lets it stand."""
    bound = facts(p_value=0.4, p_is_bound=True)
    strict = Policy(false_alarm_rate=0.001)

    assert of(bound).valid
    assert of(facts(p_value=0.4), strict).valid
    assert not of(bound, strict).valid
    assert "p < 0.4, the policy requires more than its false-alarm" in of(bound, strict).reasons[0]


def test_a_waiver_gives_a_standing_while_it_holds() -> None:
    """To a version that a gate blocked, and no longer than its last day."""
    waiver = Waiver(model="digits", version=3, reason="known", expires=date(2026, 11, 26))
    policy = Policy(waiver=(waiver,))
    blocked = facts(verdict="backdoored", action="block", outcome="FAILED")

    assert of(blocked, policy).valid
    assert "known" in of(blocked, policy).reasons[0]
    assert not of(blocked, policy, NOW + timedelta(days=2)).valid


def test_a_waiver_covers_the_verdict_and_nothing_else() -> None:
    """Not files that were changed, nor another key."""
    waiver = Waiver(model="digits", version=3, reason="known", expires=date(2026, 11, 26))
    policy = Policy(waiver=(waiver,))

    assert not of(replace(facts(), files={}), policy).valid
    assert not of(facts(key=OTHER), policy).valid


def test_a_server_can_ask_without_torch() -> None:
    """What verifies is light: a server's every worker may import it."""
    script = "import sys, pipeline.gate.verification; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_keys_come_from_the_policy_and_the_caller() -> None:
    """Both are trusted; without either nothing is valid."""
    policy = Policy(trusted_keys=(public_pem(PUBLIC),))

    assert verify_version(facts(), policy, trusted_keys(policy), NOW).valid
    assert verify_version(facts(), Policy(), trusted_keys(Policy(), PUBLIC), NOW).valid
    assert not verify_version(facts(), Policy(), trusted_keys(Policy()), NOW).valid
