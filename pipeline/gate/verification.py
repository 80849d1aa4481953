"""Does a model version pass verification now? Its attestation, its files and a policy decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.gate import approval, attestation
from pipeline.gate.attestation import Attestation, Claim, Signed, files_digest
from pipeline.gate.decision import ScanFacts, decide
from pipeline.gate.keys import PublicKey, parse_public
from pipeline.gate.policy import Policy
from stages.errors import AttestationError

ATTESTATION_TAG = "ban.attestation"
CLOCK_SKEW = timedelta(minutes=5)
"""How far the gate's clock may be ahead of this one."""


@dataclass(frozen=True, kw_only=True)
class VersionFacts:
    """A version of a registered model as it is now: its tags, and the sha256 of each of its files
    by path in the model's folder.

    `files` is None where they shall not be looked at, before anything is fetched. `created` is when
    the registry made it, `recorded` the attestations in runs that say they are
    about it.
    """

    name: str
    version: int
    tags: Mapping[str, str]
    files: Mapping[str, str] | None
    created: datetime | None = None
    recorded: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Whether a version may be promoted now, and why; `claim` is what a trusted gate stated.

    `gated` is False where the version carries no attestation at all.
    """

    valid: bool
    reasons: tuple[str, ...]
    gated: bool = True
    claim: Claim | None = None


def trusted_keys(policy: Policy, *others: PublicKey) -> tuple[PublicKey, ...]:
    """The keys whose attestations count: the policy's and the others."""
    return (*(parse_public(each, "a trusted key") for each in policy.trusted_keys), *others)


def verify_version(
    facts: VersionFacts, policy: Policy, keys: Sequence[PublicKey], now: datetime
) -> Verification:
    """Verifies a version at the moment `now`, with its time zone; valid only if all of this holds.

    A trusted key has signed the attestation in the tag, and it is about this very version, so a
    copied tag does not count. The newest decision that is signed and recorded anywhere names the
    files as they are now; it is no revocation, not too old, and approved by as many other keys as
    the policy asks for; and the policy lets its verdict pass, as it is or by a waiver that has not
    expired.
    """
    if ATTESTATION_TAG not in facts.tags:
        reason = f"the version has no tag `{ATTESTATION_TAG}`: it was never gated"
        return Verification(valid=False, reasons=(reason,), gated=False)
    try:
        newest = newest_decision(facts, keys)
    except AttestationError as error:
        return Verification(valid=False, reasons=(str(error),))
    decision = decide(_scan_facts(newest.claim), policy, now)
    objections = [
        *_standing_objections(newest, facts),
        *_time_objections(newest, facts, policy, now),
        *_file_objections(newest.attestation, facts.files),
        *_approval_objections(newest, facts, policy, keys),
    ]
    if decision.action == "block":
        objections += decision.reasons
    reasons = tuple(objections) or decision.reasons
    return Verification(valid=not objections, reasons=reasons, claim=newest.claim)


def newest_decision(facts: VersionFacts, keys: Sequence[PublicKey]) -> Signed:
    """The newest signed decision on a version: that in its tag, or a newer one that a run holds.

    Of two at the same moment the block counts.

    Raises:
        AttestationError: the tag is missing, or is no attestation that a trusted key has signed.
    """
    marked = attestation.verify(facts.tags.get(ATTESTATION_TAG, ""), keys)
    if not is_about(marked.claim, facts.name, facts.version):
        return marked
    recorded = [found for found in _opened(facts.recorded, keys) if _decides(found.claim, facts)]
    return max((marked, *recorded), key=lambda each: order_of(each.claim))


def is_about(claim: Claim, name: str, version: int) -> bool:
    """Whether a claim is about this version of this registered model."""
    return (claim.model, claim.version) == (name, version)


def order_of(claim: Claim) -> tuple[datetime, bool]:
    """What decisions on one version are ordered by: the moment, then whether it blocks."""
    return claim.decided, claim.action == "block"


def _opened(envelopes: Sequence[str], keys: Sequence[PublicKey]) -> Iterator[Signed]:
    """Those of the envelopes that are attestations which a trusted key has signed."""
    for envelope in envelopes:
        with suppress(AttestationError):
            yield attestation.verify(envelope, keys)


def _decides(claim: Claim, facts: VersionFacts) -> bool:
    return is_about(claim, facts.name, facts.version) and not claim.rehearsal


def _scan_facts(claim: Claim) -> ScanFacts:
    return ScanFacts(
        model=claim.model,
        version=claim.version,
        verdict=claim.verdict,
        provenance=claim.provenance,
        p_value=claim.p_value,
        p_is_bound=claim.p_is_bound,
        outside=claim.outside,
        unscanned=claim.unscanned,
        unexplained=claim.unexplained,
        accepted_files=claim.accepted_files,
        content_digest=claim.content_digest,
    )


def _standing_objections(newest: Signed, facts: VersionFacts) -> Iterator[str]:
    """What is wrong with the decision itself, whatever it says."""
    claim = newest.claim
    if not is_about(claim, facts.name, facts.version):
        yield (
            f"the attestation is about `{claim.model}` version {claim.version}, expected"
            f" `{facts.name}` version {facts.version}; it was copied"
        )
    if claim.rehearsal:
        yield "the attestation is that of a dry run, which decides nothing; gate without it"
    if claim.revoked:
        yield f"revoked at {claim.time}: {claim.revoked}; only a newer pass of a gate counts"


def _time_objections(
    newest: Signed, facts: VersionFacts, policy: Policy, now: datetime
) -> Iterator[str]:
    claim = newest.claim
    age = now - claim.judged_moment
    if age > policy.age_limit:
        yield (
            f"the verdict is {age.days} days old, the policy allows {policy.max_age}; gate the"
            " version again"
        )
    if age < -CLOCK_SKEW:
        yield f"the verdict was made at {claim.time}, which is yet to come; check the clocks"
    if facts.created and claim.decided < facts.created - CLOCK_SKEW:
        yield (
            f"the verdict was made at {claim.time}, before the registry made this version at"
            f" {facts.created.isoformat(timespec='seconds')}: it is about an earlier one of the"
            " same name; gate the version again"
        )
    if policy.not_before and claim.judged_moment < policy.not_before:
        yield (
            f"the verdict was made at {claim.judged_at or claim.time}, the policy accepts none"
            f" before {policy.not_before.isoformat()}; gate the version again"
        )
    origin = (claim.copied_from or "").rpartition(" sha256:")[2]
    for digest in {newest.digest, origin} & set(policy.revoked):
        yield f"the policy has revoked the attestation `{digest}`; gate the version again"


def _approval_objections(
    newest: Signed, facts: VersionFacts, policy: Policy, keys: Sequence[PublicKey]
) -> Iterator[str]:
    if not policy.approvals:
        return
    envelopes = [text for tag, text in facts.tags.items() if tag.startswith(approval.TAG)]
    found = len(approval.approvers(envelopes, newest.digest, keys) - newest.signers)
    if found < policy.approvals:
        yield (
            f"{found} of {policy.approvals} approvals by other trusted keys than the gate's are"
            f" there; run `ban-gate approve models:/{facts.name}/{facts.version}` with such a key"
        )


def _file_objections(attested: Attestation, current: Mapping[str, str] | None) -> Iterator[str]:
    if not attested.files and not attested.files_digest:
        yield "the attestation does not name any file"
    if current is None:
        return
    if attested.files_digest:
        if attested.files_digest != files_digest(current):
            yield (
                f"the {len(current)} files are not those that were judged; gate the version again"
            )
        return
    differing = sorted(
        name
        for name in {*attested.files, *current}
        if attested.files.get(name) != current.get(name)
    )
    if differing:
        yield (
            f"{len(differing)} file(s) are not those that were judged, such as `{differing[0]}`;"
            " gate the version again"
        )
