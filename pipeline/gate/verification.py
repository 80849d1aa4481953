"""Does a model version pass verification now? Its attestation, its files and a policy decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.gate import attestation, signing
from pipeline.gate.attestation import Attestation, Claim
from pipeline.gate.decision import ScanFacts, decide
from pipeline.gate.policy import Policy
from pipeline.gate.signing import PublicKey
from stages.errors import AttestationError

ATTESTATION_TAG = "ban.attestation"
CLOCK_SKEW = timedelta(minutes=5)
"""How far the gate's clock may be ahead of this one."""


@dataclass(frozen=True, kw_only=True)
class VersionFacts:
    """A version of a registered model as it is now: its tags, and the sha256 of each of its files
    by path in the model's folder.
    """

    name: str
    version: int
    tags: Mapping[str, str]
    files: Mapping[str, str]


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
    return (*(signing.parse_public(each, "a trusted key") for each in policy.trusted_keys), *others)


def verify_version(
    facts: VersionFacts, policy: Policy, keys: Sequence[PublicKey], now: datetime
) -> Verification:
    """Verifies a version at the moment `now`, with its time zone; valid only if all of this holds.

    A trusted key has signed the attestation; it is about this very version, so a copied tag does
    not count; it names the files as they are now; it is not too old; and the policy lets its
    verdict pass, as it is or by a waiver that has not expired.
    """
    if ATTESTATION_TAG not in facts.tags:
        reason = f"the version has no tag `{ATTESTATION_TAG}`: it was never gated"
        return Verification(valid=False, reasons=(reason,), gated=False)
    try:
        signed = attestation.verify(facts.tags[ATTESTATION_TAG], keys)
    except AttestationError as error:
        return Verification(valid=False, reasons=(str(error),))
    decision = decide(_scan_facts(signed.claim), policy, now)
    objections = [*_objections(signed, facts, policy, now)]
    if decision.action == "block":
        objections += decision.reasons
    reasons = tuple(objections) or decision.reasons
    return Verification(valid=not objections, reasons=reasons, claim=signed.claim)


def _scan_facts(claim: Claim) -> ScanFacts:
    return ScanFacts(
        model=claim.model,
        version=claim.version,
        verdict=claim.verdict,
        p_value=claim.p_value,
        p_is_bound=claim.p_is_bound,
        outside=claim.outside,
        unscanned=claim.unscanned,
        unexplained=claim.unexplained,
        accepted_files=claim.accepted_files,
        content_digest=claim.content_digest,
    )


def _objections(
    signed: Attestation, facts: VersionFacts, policy: Policy, now: datetime
) -> Iterator[str]:
    claim = signed.claim
    if (claim.model, claim.version) != (facts.name, facts.version):
        yield (
            f"the attestation is about `{claim.model}` version {claim.version}, expected"
            f" `{facts.name}` version {facts.version}; it was copied"
        )
    yield from _file_objections(signed.files, facts.files)
    age = now - claim.decided
    if age > policy.age_limit:
        yield (
            f"the verdict is {age.days} days old, the policy allows {policy.max_age}; gate the"
            " version again"
        )
    if age < -CLOCK_SKEW:
        yield f"the verdict was made at {claim.time}, which is yet to come; check the clocks"


def _file_objections(attested: Mapping[str, str], current: Mapping[str, str]) -> Iterator[str]:
    differing = sorted(
        name for name in {*attested, *current} if attested.get(name) != current.get(name)
    )
    if differing:
        yield (
            f"{len(differing)} file(s) are not those that were judged, such as `{differing[0]}`;"
            " gate the version again"
        )
    if not attested:
        yield "the attestation does not name any file"
