"""Is a model version in good standing now? Its attestation, its files and a policy tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline import attestation, signing
from pipeline.attestation import Attestation, Claim
from pipeline.gate import ScanFacts, decide
from pipeline.policy import Policy
from pipeline.signing import PublicKey
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
class Standing:
    """Whether a version may be promoted now, and why; `claim` is what a trusted gate said of it.

    `gated` is False where the version carries no attestation at all.
    """

    valid: bool
    reasons: tuple[str, ...]
    gated: bool = True
    claim: Claim | None = None


def trusted_keys(policy: Policy, *others: PublicKey) -> tuple[PublicKey, ...]:
    """The keys whose attestations count: the policy's and the others."""
    return (*(signing.parse_public(each, "a trusted key") for each in policy.trusted_keys), *others)


def standing(
    facts: VersionFacts, policy: Policy, keys: Sequence[PublicKey], now: datetime
) -> Standing:
    """The standing of a version at the moment `now`, with its time zone; valid only if all holds.

    A trusted key has signed the attestation; it is about this very version, so a copied tag does
    not count; its files are those of now; it is not too old; and the policy lets its verdict pass,
    as it is or by a waiver that holds now.
    """
    if ATTESTATION_TAG not in facts.tags:
        reason = f"the version has no tag `{ATTESTATION_TAG}`: it was never gated"
        return Standing(valid=False, reasons=(reason,), gated=False)
    try:
        found = attestation.verify(facts.tags[ATTESTATION_TAG], keys)
    except AttestationError as error:
        return Standing(valid=False, reasons=(str(error),))
    decision = decide(_scan_facts(found.claim), policy, now)
    objections = [*_objections(found, facts, policy, now)]
    if decision.action == "block":
        objections += decision.reasons
    reasons = tuple(objections) or decision.reasons
    return Standing(valid=not objections, reasons=reasons, claim=found.claim)


def _scan_facts(claim: Claim) -> ScanFacts:
    return ScanFacts(
        model=claim.model,
        version=claim.version,
        verdict=claim.verdict,
        p_value=claim.p_value,
        content_digest=claim.content_digest,
    )


def _objections(
    found: Attestation, facts: VersionFacts, policy: Policy, now: datetime
) -> Iterator[str]:
    claim = found.claim
    if (claim.model, claim.version) != (facts.name, facts.version):
        yield (
            f"the attestation is about `{claim.model}` version {claim.version}, expected"
            f" `{facts.name}` version {facts.version}; it was copied"
        )
    yield from _file_objections(found.files, facts.files)
    age = now - claim.decided
    if age > policy.age_limit:
        yield (
            f"the verdict is {age.days} days old, the policy allows {policy.max_age}; gate the"
            " version again"
        )
    if age < -CLOCK_SKEW:
        yield f"the verdict was made at {claim.time}, which is yet to come; check the clocks"


def _file_objections(attested: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    differing = sorted(
        name for name in {*attested, *found} if attested.get(name) != found.get(name)
    )
    if differing:
        yield (
            f"{len(differing)} file(s) are not those that were judged, such as `{differing[0]}`;"
            " gate the version again"
        )
    if not attested:
        yield "the attestation is about no file"
