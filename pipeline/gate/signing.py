"""Envelopes that keys have signed, as JSON.

Source: Dead Simple Signing Envelope 1.0, https://github.com/secure-systems-lab/dsse.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError

from pipeline.gate.keys import PublicKey, Signer
from stages.errors import AttestationError

_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Unsealed:
    """What was in an envelope, and the ids of the given keys that have signed it."""

    payload: bytes
    signers: frozenset[str]


def seal(payload: bytes, kind: str, signer: Signer) -> str:
    """The payload of media type `kind` in an envelope with one signature, as JSON.

    Raises:
        AttestationError: the key's provider does not sign, or not with the key it stated.
    """
    envelope = Envelope(payload, kind, {})
    try:
        envelope.sign(signer)
        envelope.verify([signer.public_key], 1)
    except Exception as error:  # noqa: BLE001 (each provider has errors of its own)
        raise AttestationError(
            f"the key does not sign ({type(error).__name__}), so nothing is attested; check that"
            " its provider answers and lets you sign, and run the same command again"
        ) from None  # a provider's error may say more than may be shown
    return json.dumps(envelope.to_dict())


def unseal(envelope: str, kind: str, keys: Sequence[PublicKey]) -> Unsealed:
    """The payload of an envelope that one of the keys has signed.

    Raises:
        AttestationError: it is not such an envelope, or none of the keys has signed it.
    """
    try:
        opened = Envelope.from_dict(json.loads(envelope))
    except _MALFORMED as error:
        raise AttestationError(
            "the attestation is no DSSE envelope; gate the model again"
        ) from error
    if opened.payload_type != kind:
        raise AttestationError(
            f"the attestation's payload is of type {opened.payload_type!r}, expected `{kind}`"
        )
    signers = frozenset(key.keyid for key in keys if _has_signed(opened, key))
    if not signers:
        raise AttestationError(
            f"the attestation is not signed by a trusted key: {len(opened.signatures)}"
            f" signature(s), none by one of the {len(keys)} key(s) trusted here; it was changed, or"
            " its signer's public key is missing from `trusted_keys` or `--public-key`"
        )
    return Unsealed(payload=opened.payload, signers=signers)


def _has_signed(envelope: Envelope, key: PublicKey) -> bool:
    try:
        envelope.verify([key], 1)
    except (VerificationError, ValueError):
        return False
    return True
