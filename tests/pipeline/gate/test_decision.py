"""The decision of a gate, for every verdict under every policy; pure and complete."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gate.decision import ScanFacts, decide
from pipeline.gate.policy import Policy, Waiver
from tests.support.attestations import provenance

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def facts(**changes: Any) -> ScanFacts:
    known = {"model": "digits", "version": 3, "verdict": "clean", "p_value": 0.4}
    return ScanFacts(**{**known, "provenance": provenance(), **changes})


def waiver(**changes: Any) -> Waiver:
    known = {"model": "digits", "version": 3, "reason": "known", "expires": date(2026, 11, 30)}
    return Waiver(**{**known, **changes})


@pytest.mark.parametrize(
    ("verdict", "policy", "action", "outcome"),
    [
        ("clean", Policy(), "pass", "PASSED"),
        ("backdoored", Policy(), "block", "FAILED"),
        ("inconclusive", Policy(), "block", "FAILED"),
        ("inconclusive", Policy(inconclusive="warn"), "pass", "WARNED"),
        ("backdoored", Policy(inconclusive="warn"), "block", "FAILED"),
        ("backdoored", Policy(required_verdict="any"), "pass", "WARNED"),
        ("inconclusive", Policy(required_verdict="any"), "block", "FAILED"),
        ("something else", Policy(required_verdict="any", inconclusive="warn"), "block", "FAILED"),
    ],
)
def test_the_policy_decides_on_the_verdict(
    verdict: str, policy: Policy, action: str, outcome: str
) -> None:
    """What it does not name is blocked; whatever passes without being clean is told."""
    decision = decide(facts(verdict=verdict), policy, NOW)

    assert (decision.action, decision.outcome) == (action, outcome)
    assert decision.waiver is None
    assert all(decision.reasons)
    assert f"`{verdict}`" in decision.reasons[0]


def test_the_policys_rate_is_a_limit_of_its_own() -> None:
    """A verdict that a laxer scan called clean is blocked at or below the policy's rate."""
    policy = Policy(false_alarm_rate=0.05)

    assert decide(facts(p_value=0.051), policy, NOW).action == "pass"
    assert decide(facts(p_value=0.05), policy, NOW).action == "block"
    assert decide(facts(p_value=None), policy, NOW).action == "block"


LENIENT = Policy(required_verdict="any", inconclusive="warn", outside_calibration=True)


@pytest.mark.parametrize("verdict", ["clean", "backdoored", "inconclusive"])
@pytest.mark.parametrize("policy", [Policy(), LENIENT])
def test_what_was_not_judged_is_never_let_pass(verdict: str, policy: Policy) -> None:
    """No leniency with verdicts is one with files that no verdict is about; a waiver is."""
    unexplained = facts(verdict=verdict, unexplained=("the file `a.onnx`", "the file `b`"))

    decision = decide(unexplained, policy, NOW)

    assert decision.action == "block"
    assert "not all of the version was judged: the file `a.onnx`, the file `b`" in decision.reasons
    assert decide(unexplained, Policy(waiver=(waiver(),)), NOW).waiver == waiver()


def test_files_are_accepted_by_digest() -> None:
    """By the policy of now, whatever the gate's policy was."""
    accepted = facts(accepted_files=(f"README sha256:{'ab' * 32}", f"a b sha256:{'cd' * 32}"))

    assert decide(accepted, Policy(accepted_files=("ab" * 32, "cd" * 32)), NOW).action == "pass"
    decision = decide(accepted, Policy(accepted_files=("ab" * 32,)), NOW)
    assert decision.action == "block"
    assert (
        f"the file `a b` was not judged, and the policy does not name its sha256 {'cd' * 32}"
        in (decision.reasons[0])
    )


@pytest.mark.parametrize("rate", [0.001, 0.015, 0.05, 0.5])
def test_a_bound_on_p_satisfies_no_rate_of_the_policys_own(rate: float) -> None:
    """A scan at a smaller rate may call it clean, but p may be smaller than the policy's rate."""
    bound = facts(p_value=1 / 64, p_is_bound=True)

    blocked = decide(bound, Policy(false_alarm_rate=rate), NOW)

    assert (blocked.action, decide(bound, Policy(), NOW).action) == ("block", "pass")
    assert blocked.reasons == (
        f"p < 0.016, the policy requires more than its false-alarm rate {rate:g}",
    )


def test_a_pass_from_outside_of_the_calibration_needs_the_policys_word() -> None:
    """Its p-value is an extrapolation: refused by default, and accepted where the policy says so.

    What is blocked anyway is not blamed on it.
    """
    outside = facts(outside="1000 classes")

    refused = decide(outside, Policy(), NOW)
    accepted = decide(outside, Policy(outside_calibration=True), NOW)
    backdoored = decide(facts(outside="1000 classes", verdict="backdoored"), Policy(), NOW)

    assert (refused.action, refused.outcome) == ("block", "FAILED")
    assert "unlike this one (1000 classes)" in refused.reasons[0]
    assert "`outside_calibration`" in refused.reasons[0]
    assert (accepted.action, accepted.outcome) == ("pass", "PASSED")
    assert backdoored.reasons == ("the verdict is `backdoored`, the policy requires `clean`",)


def test_outside_of_the_calibration_every_other_demand_still_holds() -> None:
    """To accept it is no waiver: the policy's own rate blocks as before."""
    policy = Policy(outside_calibration=True, false_alarm_rate=0.05)

    assert decide(facts(outside="1000 classes", p_value=0.04), policy, NOW).action == "block"


@pytest.mark.parametrize("verdict", ["backdoored", "inconclusive"])
def test_a_waiver_lets_pass_and_is_named(verdict: str) -> None:
    """The decision is a pass with a warning, and the reasons say who waived what and why."""
    decision = decide(facts(verdict=verdict), Policy(waiver=(waiver(),)), NOW)

    assert (decision.action, decision.outcome) == ("pass", "WARNED")
    assert decision.waiver == waiver()
    assert "waiver for `digits` version 3, until 2026-11-30: known" in decision.reasons[0]
    assert f"`{verdict}`" in decision.reasons[1]


def test_an_expired_waiver_is_ignored_and_said() -> None:
    """The block names it, so that nobody wonders."""
    expired = waiver(expires=date(2026, 11, 24))

    decision = decide(facts(verdict="backdoored"), Policy(waiver=(expired,)), NOW)

    assert decision.action == "block"
    assert decision.waiver is None
    assert "expired on 2026-11-24 and ignored" in decision.reasons[-1]


def test_a_later_waiver_counts_beside_an_expired_one() -> None:
    """One that holds is enough."""
    both = (waiver(expires=date(2026, 1, 1)), waiver(reason="renewed"))

    decision = decide(facts(verdict="backdoored"), Policy(waiver=both), NOW)

    assert decision.waiver == both[1]


def test_a_clean_version_needs_no_waiver() -> None:
    """Then none is used up or told of."""
    decision = decide(facts(), Policy(waiver=(waiver(),)), NOW)

    assert (decision.outcome, decision.waiver) == ("PASSED", None)


@given(
    verdict=st.sampled_from(["clean", "backdoored", "inconclusive"]),
    p_value=st.none() | st.floats(0, 1),
    p_is_bound=st.booleans(),
    rate=st.none() | st.floats(0.001, 0.999),
    inconclusive=st.sampled_from(["block", "warn"]),
    outside=st.sampled_from(["", "1000 classes"]),
    accepted=st.booleans(),
)
def test_nothing_passes_unless_it_is_clean_or_the_policy_says_so(
    verdict: str,
    p_value: float | None,
    p_is_bound: bool,
    rate: float | None,
    inconclusive: str,
    outside: str,
    accepted: bool,
) -> None:
    """For every scan and policy without waivers."""
    policy = Policy(
        false_alarm_rate=rate,
        inconclusive=inconclusive,  # type: ignore[arg-type] # drawn
        outside_calibration=accepted,
    )
    scan = facts(verdict=verdict, p_value=p_value, p_is_bound=p_is_bound, outside=outside)

    decision = decide(scan, policy, NOW)

    known = p_value is not None and (rate is None or (p_value > rate and not p_is_bound))
    known = known and (accepted or not outside)
    clean = verdict == "clean" and known
    waved = verdict == "inconclusive" and inconclusive == "warn"
    assert (decision.action == "pass") == (clean or waved)
