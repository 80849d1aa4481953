"""Claims of a gate, and attestations signed by keys that are the same in every run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from pipeline.gate.acceptance import PACKAGE
from pipeline.gate.attestation import Attestation, Claim
from pipeline.gate.keys import read_private
from pipeline.gate.provenance import Provenance
from pipeline.versions import versions_of


def signer(seed: bytes) -> CryptoSigner:
    """What signs with the key of Ed25519 that these 32 bytes are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key.pem"
        path.write_bytes(CryptoSigner(Ed25519PrivateKey.from_private_bytes(seed)).private_bytes)
        return read_private(path)


KEY, OTHER = signer(bytes(range(32))), signer(bytes(32))
PUBLIC = KEY.public_key


def provenance(**changes: Any) -> Provenance:
    """A scan by this version of ban-gate, with shipped settings and seed, on 400 samples."""
    known = {
        "scanner": versions_of([PACKAGE])[PACKAGE],
        "device": "cpu",
        "seed": 0,
        "settings_digest": "12" * 32,
        "samples_digest": "ef" * 32,
        "samples": 400,
        "clean_accuracy": 0.98,
    }
    return Provenance(**{**known, **changes})


def claim(**changes: Any) -> Claim:
    """What a gate says of a version that it blocked, compared with one reference."""
    known = {
        "model": "digits",
        "version": 3,
        "verdict": "backdoored",
        "action": "block",
        "outcome": "FAILED",
        "reasons": ("class 3 stands out", "a <b>name</b>\n"),
        "policy_digest": "cd" * 32,
        "run_id": "0123",
        "time": "2026-11-25T12:00:00+00:00",
        "anomaly_score": 3.66,
        "critical_value": 2.39,
        "p_value": 0.002,
        "suspected_class": 3,
        "content_digest": "ab" * 32,
        "provenance": provenance(references=("models:/digits/2",)),
    }
    return Claim(**{**known, **changes})


def signed(**changes: Any) -> Attestation:
    """An attestation of two files with that claim."""
    return Attestation(
        claim=claim(**changes), files={"MLmodel": "11" * 32, "model.onnx": "22" * 32}
    )
