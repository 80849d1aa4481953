"""A version of very many files has an attestation like any other."""

from __future__ import annotations

from dataclasses import replace

from pipeline.gate.attestation import LARGEST, attest, files_digest, verify
from pipeline.gate.policy import Policy
from pipeline.gate.verification import ATTESTATION_TAG, VersionFacts, verify_version
from tests.support.attestations import KEY, PUBLIC, signed


def test_files_that_do_not_fit_a_tag_are_attested_together() -> None:
    """However many there are; one that changes, comes or goes ends the attestation."""
    many = {f"{number}/{'long' * 20}": "11" * 32 for number in range(5000)}
    made = replace(signed(), files=many)
    envelope = attest(made, KEY)
    name = next(iter(many))

    read = verify(envelope, [PUBLIC]).attestation
    assert read == replace(made, files={}, files_digest=files_digest(many))
    assert len(envelope) < LARGEST
    for files, valid in (
        (many, True),
        (dict(reversed(many.items())), True),
        ({**many, name: "22" * 32}, False),
        ({**many, "one": "11" * 32}, False),
        ({each: digest for each, digest in many.items() if each != name}, False),
        ({}, False),
    ):
        facts = VersionFacts(
            name=made.claim.model,
            version=made.claim.version,
            tags={ATTESTATION_TAG: envelope},
            files=files,
        )
        found = verify_version(facts, Policy(), [PUBLIC], made.claim.decided)
        assert ("files are not those" in "; ".join(found.reasons)) is not valid
