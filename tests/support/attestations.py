"""Claims of a gate, and attestations signed by keys that are the same in every run."""

from __future__ import annotations

from typing import Any

from pipeline.gate import signing
from pipeline.gate.acceptance import PACKAGE
from pipeline.gate.attestation import Attestation, Claim
from pipeline.gate.provenance import Provenance
from pipeline.versions import versions_of

KEY = signing.PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
OTHER = signing.PrivateKey.from_private_bytes(bytes(32))


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
