"""Ed25519 keys as PEM files, and DSSE envelopes signed with them.

Source: Dead Simple Signing Envelope 1.0, https://github.com/secure-systems-lab/dsse.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pipeline.atomic_files import place_secret
from stages.errors import AttestationError, ConfigError

PrivateKey = Ed25519PrivateKey
PublicKey = Ed25519PublicKey

_UNREADABLE = (OSError, ValueError, TypeError, UnsupportedAlgorithm)
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Unsealed:
    """What was in an envelope, and the ids of the given keys that have signed it."""

    payload: bytes
    signers: frozenset[str]


def make_key(path: Path) -> PrivateKey:
    """A new private key at `path`, readable by its owner alone, with its public half beside it.

    The file appears whole or not at all, and an existing one is never replaced.

    Raises:
        ConfigError: there is a file already, or it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place_secret(path, content)
        public_path(path).write_text(public_pem(key.public_key()), encoding="ascii")
    except OSError as error:
        raise ConfigError(
            f"cannot make the signing key `{path}` ({error.strerror}); choose a new file in a"
            " writable folder"
        ) from error
    return key


def public_path(path: Path) -> Path:
    """The path of the public half of the private key at `path`: `key.pub.pem` beside `key.pem`."""
    return path.with_suffix(".pub.pem")


def read_private(path: Path) -> PrivateKey:
    """The private key in a PEM file.

    Raises:
        ConfigError: the file cannot be read, or is not an unencrypted Ed25519 private key.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except _UNREADABLE as error:
        raise ConfigError(_no_key("private", str(path), type(error).__name__)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(_no_key("private", str(path), "another algorithm"))
    return key


def read_public(path: Path) -> PublicKey:
    """The public key in a PEM file.

    Raises:
        ConfigError: the file cannot be read, or is not an Ed25519 public key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except _UNREADABLE as error:
        raise ConfigError(_no_key("public", str(path), type(error).__name__)) from error
    return parse_public(text, str(path))


def parse_public(text: str, name: str) -> PublicKey:
    """The public key in a PEM text, which messages call `name`.

    Raises:
        ConfigError: the text is not an Ed25519 public key.
    """
    try:
        key = serialization.load_pem_public_key(text.encode())
    except _UNREADABLE as error:
        raise ConfigError(_no_key("public", name, type(error).__name__)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(_no_key("public", name, "another algorithm"))
    return key


def public_pem(key: PublicKey) -> str:
    """The key as PEM text."""
    encoding, kind = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, kind).decode("ascii")


def key_id(key: PublicKey) -> str:
    """The sha256 of the key in DER."""
    encoding, kind = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(encoding, kind)).hexdigest()


def seal(payload: bytes, kind: str, key: PrivateKey) -> str:
    """The payload of media type `kind` in an envelope with one signature, as JSON."""
    signature = key.sign(_authenticated(kind, payload))
    signatures = [{"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}]
    body = base64.b64encode(payload).decode()
    return json.dumps({"payload": body, "payloadType": kind, "signatures": signatures})


def unseal(envelope: str, kind: str, keys: Sequence[PublicKey]) -> Unsealed:
    """The payload of an envelope that one of the keys has signed; ids in it are ignored.

    Raises:
        AttestationError: it is not such an envelope, or none of the keys has signed it.
    """
    try:
        document = json.loads(envelope)
        payload = base64.b64decode(document["payload"], validate=True)
        payload_type = document["payloadType"]
        signatures = [base64.b64decode(each["sig"]) for each in document["signatures"]]
    except _MALFORMED as error:
        raise AttestationError(
            "the attestation is no DSSE envelope; gate the model again"
        ) from error
    if payload_type != kind:
        raise AttestationError(
            f"the attestation's payload is of type {payload_type!r}, expected `{kind}`"
        )
    signers = frozenset(key_id(key) for key in keys if _signed(payload, kind, signatures, key))
    if not signers:
        raise AttestationError(
            f"the attestation is not signed by a trusted key: {len(signatures)} signature(s), none"
            f" by one of the {len(keys)} key(s) trusted here; it was changed, or its signer's"
            " public key is missing from `trusted_keys` or `--public-key`"
        )
    return Unsealed(payload=payload, signers=signers)


def _signed(payload: bytes, kind: str, signatures: Sequence[bytes], key: PublicKey) -> bool:
    return any(_verifies(key, each, _authenticated(kind, payload)) for each in signatures)


def _verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    with suppress(InvalidSignature):
        key.verify(signature, message)
        return True
    return False


def _authenticated(kind: str, payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding PAE(type, body)."""
    name = kind.encode()
    return b" ".join((b"DSSEv1", b"%d" % len(name), name, b"%d" % len(payload), payload))


def _no_key(half: str, name: str, reason: str) -> str:
    return (
        f"`{name}` holds no Ed25519 {half} key ({reason}); expected an unencrypted PEM file, such"
        " as `ban-gate keygen` writes"
    )
