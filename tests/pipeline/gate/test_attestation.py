"""What a gate signs can be read back by those who trust its key, and by nobody's trick."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gate import attestation, signing
from pipeline.gate.attestation import attest, file_digests, verify
from pipeline.gate.keys import PublicKey, Signer, public_pem
from stages.errors import AttestationError
from tests.support.attestations import KEY, OTHER, PUBLIC, signed
from tests.support.places import ROOT

GOLDEN = ROOT / "tests" / "support" / "golden" / "attestation-2.json"


def forged(change: Callable[[dict[str, Any]], object], key: Signer = KEY) -> str:
    """A statement changed before it is signed, as a faulty signer would."""
    statement = attestation._statement(signed())
    change(statement)
    return signing.seal(json.dumps(statement).encode(), attestation.PAYLOAD_TYPE, key)


def test_what_is_signed_is_read_back() -> None:
    """Every field of the claim and every file."""
    found = verify(attest(signed(), KEY), [OTHER.public_key, PUBLIC])

    assert found.attestation == signed()
    assert found.signers == {PUBLIC.keyid}


def test_what_was_signed_before_is_what_is_signed_now() -> None:
    """Byte for byte: what earlier versions of ban-gate signed by the same key goes on counting."""
    before = GOLDEN.read_text().rstrip("\n")

    assert attest(signed(), KEY) == before
    assert verify(before, [PUBLIC]).attestation == signed()


def test_the_statement_is_in_totos() -> None:
    """Type, subjects, predicate and result are where any in-toto tool looks for them."""
    envelope = json.loads(attest(signed(), KEY))

    statement = json.loads(base64.b64decode(envelope["payload"]))

    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert statement["predicate"]["result"] == "FAILED"
    assert statement["predicate"]["configuration"][0]["digest"] == {"sha256": "cd" * 32}
    assert {"name": "model.onnx", "digest": {"sha256": "22" * 32}} in statement["subject"]
    assert statement["subject"][-1]["digest"] == {attestation.CONTENT_ALGORITHM: "ab" * 32}


def test_openssl_verifies_the_signature(tmp_path: Path) -> None:
    """An independent implementation accepts the signature over DSSE's encoding of the payload."""
    envelope = json.loads(attest(signed(), KEY))
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    (tmp_path / "message").write_bytes(
        b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    )
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "key.pem").write_text(public_pem(PUBLIC))

    done = subprocess.run(
        [
            "openssl",
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "key.pem",
            "-rawin",
            "-in",
            "message",
            "-sigfile",
            "sig",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Signature Verified Successfully" in done.stdout, done.stderr


@pytest.mark.parametrize("is_bound", [True, False])
def test_a_bound_on_p_stays_a_bound(is_bound: bool) -> None:
    """What is only known to be smaller is not read back as known."""
    bound = signed(p_value=1 / 64, p_is_bound=is_bound)

    assert verify(attest(bound, KEY), [PUBLIC]).claim.p_is_bound is is_bound


@pytest.mark.parametrize("outside", ["", "1000 classes"])
def test_outside_of_the_calibration_stays_outside(outside: str) -> None:
    """In which respect a model is unlike those of the calibration is read back as it was."""
    claimed = signed(outside=outside)

    assert verify(attest(claimed, KEY), [PUBLIC]).claim.outside == outside


def test_a_refused_model_has_no_content_digest() -> None:
    """Its files are attested all the same."""
    unknown = signed(content_digest=None, p_value=None, verdict="inconclusive")

    assert verify(attest(unknown, KEY), [PUBLIC]).attestation == unknown


@pytest.mark.parametrize("keys", [[], [OTHER.public_key]])
def test_an_untrusted_key_proves_nothing(keys: list[PublicKey]) -> None:
    """Also when the envelope claims the trusted key's id."""
    envelope = json.loads(attest(signed(), KEY))
    envelope["signatures"][0]["keyid"] = OTHER.public_key.keyid

    with pytest.raises(AttestationError, match="not signed by a trusted key"):
        verify(json.dumps(envelope), keys)


@given(st.integers(0), st.integers(1, 255))
def test_no_byte_of_the_payload_can_be_changed(place: int, change: int) -> None:
    """Whichever byte, the signature fails."""
    envelope = json.loads(attest(signed(), KEY))
    payload = bytearray(base64.b64decode(envelope["payload"]))
    payload[place % len(payload)] ^= change
    envelope["payload"] = base64.b64encode(bytes(payload)).decode()

    with pytest.raises(AttestationError, match="not signed by a trusted key"):
        verify(json.dumps(envelope), [PUBLIC])


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_what_is_no_envelope_is_refused(text: str) -> None:
    """Any text at all ends in one error."""
    with pytest.raises(AttestationError):
        verify(text, [PUBLIC])


@pytest.mark.parametrize(
    "envelope",
    [
        "[" * 100_000,
        '{"payload": "", "payloadType": "application/vnd.in-toto+json"}',
        '{"payload": "%", "payloadType": "a", "signatures": []}',
        '{"payload": "", "payloadType": "text/plain", "signatures": []}',
        '{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": []}',
        '{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": [{}]}',
    ],
)
def test_a_malformed_envelope_is_refused(envelope: str) -> None:
    """Nested, incomplete, of another type, or without a signature."""
    with pytest.raises(AttestationError):
        verify(envelope, [PUBLIC])


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda it: it.update(predicateType="https://slsa.dev/provenance/v1"),
        lambda it: it.update(subject=[]),
        lambda it: it.pop("predicate"),
        lambda it: it["predicate"].pop("result"),
        lambda it: it["predicate"].update(result="GREAT"),
        lambda it: it["predicate"].pop("ban_gate"),
        lambda it: it["predicate"]["ban_gate"].update(version="3"),
        lambda it: it["predicate"]["ban_gate"].update(verdict="good"),
        lambda it: it["predicate"]["ban_gate"].update(score=2.6),
        lambda it: it["predicate"]["ban_gate"].update(p_is_bound="no"),
        lambda it: it["predicate"]["ban_gate"].update(outside=None),
        lambda it: it["predicate"]["ban_gate"].update(time="yesterday"),
        lambda it: it["predicate"]["ban_gate"].update(time="2026-11-25T12:00:00"),
        lambda it: it["predicate"]["ban_gate"].update(further=1),
    ],
)
def test_a_signed_statement_of_another_kind_is_refused(
    change: Callable[[dict[str, Any]], object],
) -> None:
    """A trusted key may sign other things; they are no attestation of a gate."""
    with pytest.raises(AttestationError, match="is signed, but is no statement of a gate"):
        verify(forged(change), [PUBLIC])


def test_what_does_not_fit_a_tag_is_refused() -> None:
    """Before it is signed and lost."""
    long = replace(signed().claim, reasons=("long",) * 50_000)

    with pytest.raises(AttestationError, match="expected fewer than 100000"):
        attest(replace(signed(), claim=long), KEY)


def test_every_file_of_a_folder_is_counted(tmp_path: Path) -> None:
    """Also hidden ones and those in folders, by their path; none is left out by its name."""
    (tmp_path / "inner").mkdir()
    for name in ("MLmodel", ".hidden", "inner/weights.data", "registered_model_meta"):
        (tmp_path / name).write_bytes(b"")

    found = file_digests(tmp_path)

    assert set(found) == {"MLmodel", ".hidden", "inner/weights.data", "registered_model_meta"}
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert set(found.values()) == {empty}
