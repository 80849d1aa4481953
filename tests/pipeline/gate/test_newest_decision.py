"""The newest signed decision on a version counts, wherever it is; other keys may approve it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.gate import approval, attestation, signing
from pipeline.gate.approval import Approval
from pipeline.gate.attestation import Attestation, attest
from pipeline.gate.keys import Signer
from pipeline.gate.policy import Policy
from pipeline.gate.verification import (
    ATTESTATION_TAG,
    Verification,
    VersionFacts,
    newest_decision,
    verify_version,
)
from tests.support.attestations import KEY, OTHER, PUBLIC, claim, signer

NOW = datetime(2026, 11, 25, 13, tzinfo=UTC)
FILES = {"MLmodel": "11" * 32, "model.onnx": "22" * 32}
PASS = {"verdict": "clean", "action": "pass", "outcome": "PASSED", "p_value": 0.4}
THIRD = signer(bytes(range(1, 33)))
KEYS = [PUBLIC, OTHER.public_key, THIRD.public_key]


def at(hour: int) -> str:
    return f"2026-11-25T{hour:02}:00:00+00:00"


def passed(hour: int, **changes: Any) -> str:
    """The envelope of a pass at that hour."""
    made = claim(**{**PASS, "time": at(hour), **changes})
    return attest(Attestation(claim=made, files=FILES), KEY)


def blocked(hour: int, key: Signer = KEY, **changes: Any) -> str:
    """The envelope of a block at that hour."""
    made = claim(**{"time": at(hour), **changes})
    return attest(Attestation(claim=made, files=FILES), key)


def version(tag: str, *recorded: str, **changes: Any) -> VersionFacts:
    """A version with this attestation in its tag, and others in runs."""
    tags = {ATTESTATION_TAG: tag}
    known = VersionFacts(name="digits", version=3, tags=tags, files=FILES, recorded=recorded)
    return replace(known, **changes)


def of(facts: VersionFacts, policy: Policy | None = None) -> Verification:
    return verify_version(facts, policy or Policy(), [PUBLIC], NOW)


def digest(envelope: str) -> str:
    return attestation.verify(envelope, [PUBLIC]).digest


def test_an_old_pass_put_back_does_not_undo_a_block() -> None:
    """The block is in its run; only a newer pass ends it, wherever that is recorded."""
    assert of(version(passed(8))).valid
    assert not of(version(passed(8), blocked(9))).valid
    assert of(version(passed(8), blocked(9), passed(10))).valid
    assert of(version(blocked(9), passed(10))).valid
    assert not of(version(passed(10), blocked(10))).valid, "of the same second the block counts"


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=5))
def test_the_order_in_which_decisions_are_found_changes_nothing(
    decisions: list[tuple[int, bool]],
) -> None:
    """Neither which of them is in the tag."""
    envelopes = [passed(hour) if good else blocked(hour) for hour, good in decisions]

    newest = {newest_decision(version(tag, *envelopes), [PUBLIC]).digest for tag in envelopes}

    hour, blocks = max((hour, not good) for hour, good in decisions)
    assert newest == {digest(blocked(hour) if blocks else passed(hour))}


@pytest.mark.parametrize(
    "other",
    [
        blocked(9, key=OTHER),
        blocked(9, model="letters"),
        blocked(9, version=4),
        blocked(9, rehearsal=True),
        "no envelope",
        "",
    ],
)
def test_what_is_no_decision_on_this_version_blocks_nothing(other: str) -> None:
    """Of a stranger, on another version, of a dry run, or no attestation at all."""
    assert of(version(passed(8), other)).valid


def test_a_run_alone_is_no_standing() -> None:
    """Deleting the tag withdraws a pass, and a tag that was copied stays copied."""
    facts = version(passed(8), passed(9))

    assert not of(replace(facts, tags={})).gated
    assert "it was copied" in of(version(passed(8, version=4), passed(9))).reasons[0]


def test_a_dry_run_decides_nothing() -> None:
    """Its attestation is signed, and says so."""
    assert "that of a dry run" in of(version(passed(8, rehearsal=True))).reasons[0]


def test_a_revocation_holds_until_a_newer_pass() -> None:
    """Also where a waiver or a lax policy would let the verdict pass."""
    taken = passed(9, action="block", outcome="FAILED", revoked="the data was poisoned")
    lax = Policy(required_verdict="any", inconclusive="warn")

    found = of(version(passed(8), taken), lax)

    assert not found.valid
    assert f"revoked at {at(9)}: the data was poisoned" in found.reasons[0]
    assert of(version(taken, passed(10))).valid


def test_an_attestation_older_than_its_version_is_of_another_one() -> None:
    """A model that was deleted and made anew has the same name and numbers."""
    anew = datetime(2026, 11, 25, 9, tzinfo=UTC)

    found = of(version(passed(8), created=anew))

    assert "before the registry made this version" in found.reasons[0]
    assert of(version(passed(9), created=anew)).valid


def test_the_policy_says_from_when_on_decisions_count() -> None:
    """To the moment."""
    assert of(version(passed(8)), Policy(not_before=datetime(2026, 11, 25, 8, tzinfo=UTC))).valid
    late = of(version(passed(8)), Policy(not_before=datetime(2026, 11, 25, 8, 1, tzinfo=UTC)))
    assert "the policy accepts none before 2026-11-25T08:01" in late.reasons[0]


def test_the_policy_revokes_by_what_was_signed() -> None:
    """However the envelope around it is written; another attestation is another one."""
    envelope = passed(8)
    policy = Policy(revoked=(digest(envelope),))
    rewritten = json.dumps({**json.loads(envelope), "more": 1}, indent=3)

    for each in (envelope, rewritten):
        assert "the policy has revoked the attestation" in of(version(each), policy).reasons[0]
    assert of(version(passed(9)), policy).valid


def test_an_older_form_has_expired() -> None:
    """It did not say how the verdict came about; a newer one is not guessed at."""
    statement = attestation._statement(Attestation(claim=claim(**PASS), files=FILES))
    for schema, told in ((1, "an older version"), (3, "another version"), ("x", "another version")):
        statement["predicate"]["ban_gate"]["schema"] = schema  # type: ignore[index] # a statement
        envelope = signing.seal(json.dumps(statement).encode(), attestation.PAYLOAD_TYPE, KEY)

        (reason,) = of(version(envelope)).reasons

        assert reason.startswith(f"the attestation has expired: it was made by {told} of ban-gate")
        assert "gate the version again" in reason


def approvals(envelope: str, *keys: Signer) -> dict[str, str]:
    """The tags of a version whose attestation these keys have approved."""
    said = Approval(attestation=digest(envelope), reason="looked at", time=at(9))
    return {approval.tag_of(key.public_key): approval.sign(said, key) for key in keys}


@pytest.mark.parametrize(
    ("needed", "keys", "valid"),
    [
        (0, (), True),
        (1, (), False),
        (1, (KEY,), False),
        (1, (OTHER,), True),
        (1, (signer(bytes(range(2, 34))),), False),
        (2, (OTHER,), False),
        (2, (OTHER, KEY), False),
        (2, (OTHER, THIRD), True),
    ],
)
def test_as_many_other_keys_approve_as_the_policy_asks(
    needed: int, keys: tuple[Signer, ...], valid: bool
) -> None:
    """Trusted ones, each once, and not the one that signed the attestation."""
    envelope = passed(8)
    tags = {ATTESTATION_TAG: envelope, **approvals(envelope, *keys)}

    found = verify_version(version(envelope, tags=tags), Policy(approvals=needed), KEYS, NOW)

    assert found.valid is valid
    assert valid or f"of {needed} approvals" in found.reasons[0]


def test_one_key_approves_once() -> None:
    """Under however many tags."""
    envelope = passed(8)
    (said,) = approvals(envelope, OTHER).values()
    tags = {ATTESTATION_TAG: envelope, "ban.approval.a": said, "ban.approval.b": said}

    found = verify_version(version(envelope, tags=tags), Policy(approvals=2), KEYS, NOW)

    assert found.reasons[0].startswith("1 of 2 approvals")


def test_an_approval_is_of_one_attestation() -> None:
    """A newer one needs its own, and neither kind of envelope passes for the other."""
    old, new = passed(8), passed(9)
    policy = Policy(approvals=1)
    stale = {ATTESTATION_TAG: new, **approvals(old, OTHER)}
    (said,) = approvals(old, OTHER).values()
    again = attest(Attestation(claim=claim(**PASS, time=at(8)), files=FILES), OTHER)
    swapped = {ATTESTATION_TAG: old, "ban.approval.a": again}

    for tags in (stale, swapped):
        assert not verify_version(version(old, tags=tags), policy, KEYS, NOW).valid
    assert not verify_version(version(said), policy, KEYS, NOW).valid


@given(st.binary(max_size=60))
def test_no_rubbish_approves(payload: bytes) -> None:
    """Not even where a trusted key has signed it."""
    envelope = signing.seal(payload, approval.PAYLOAD_TYPE, OTHER)

    assert approval.approvers([envelope, base64.b64encode(payload).decode()], "ab", KEYS) == set()
