"""The word of a second person: an attestation approved with another key than the gate's.

An approval is JSON in a DSSE envelope of a type of its own, so neither can pass for the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from pipeline.gate import signing
from pipeline.gate.keys import PublicKey, Signer
from pipeline.structure import structured
from stages.errors import AttestationError, ConfigError

TAG = "ban.approval."
"""Tags of a version that hold approvals begin so; the id of the key follows."""
PAYLOAD_TYPE = "application/vnd.ban-gate.approval+json"


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who holds the key agrees with the attestation of that sha256, for that reason.

    `time` is ISO 8601 with its offset.
    """

    attestation: str
    reason: str
    time: str


def sign(approval: Approval, key: Signer) -> str:
    """The approval, signed: a DSSE envelope as JSON.

    Raises:
        AttestationError: the key does not sign.
    """
    return signing.seal(json.dumps(asdict(approval)).encode(), PAYLOAD_TYPE, key)


def tag_of(key: PublicKey) -> str:
    """The tag of a version that holds the approval by this key."""
    return f"{TAG}{key.keyid[:16]}"


def approvers(
    envelopes: Iterable[str], attestation: str, keys: Sequence[PublicKey]
) -> frozenset[str]:
    """The ids of the keys that have approved the attestation of that sha256.

    Whatever is no such approval does not count.
    """
    found: set[str] = set()
    for envelope in envelopes:
        with suppress(AttestationError, ConfigError, ValueError, RecursionError):
            opened = signing.unseal(envelope, PAYLOAD_TYPE, keys)
            if structured(json.loads(opened.payload), Approval).attestation == attestation:
                found |= opened.signers
    return frozenset(found)
