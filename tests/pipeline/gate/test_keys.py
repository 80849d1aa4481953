"""Keys are read from files and asked of providers, and no message tells a secret."""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, CryptoSigner, Signer, SSlibKey

from pipeline.gate import keys, provided_keys, signing
from pipeline.gate.key_place import PROVIDERS, require_place
from pipeline.gate.provided_keys import asked
from stages.errors import AttestationError, ConfigError

PEM = serialization.Encoding.PEM
KINDS = {
    "Ed25519": Ed25519PrivateKey.generate,
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "ML-DSA": MLDSA65PrivateKey.generate,
}
URIS = {
    "awskms": "awskms:alias/hush-hush",
    "azurekms": "azurekms://hush-hush.vault.azure.net/keys/gate",
    "gcpkms": "gcpkms:projects/hush-hush/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
    "hsm": "hsm:2?label=hush-hush",
    "hv": "hv:hush-hush",
}


def private_pem(key: Any, password: bytes | None = None) -> bytes:
    """What stands in the file of a private key."""
    locked = serialization.BestAvailableEncryption(password) if password else None
    kind = serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(PEM, kind, locked or serialization.NoEncryption()))


def test_a_key_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    """Mode 0600, public half beside it, no draft left, and never replaced."""
    path = tmp_path / "keys" / "gate.pem"

    made = keys.make_key(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {each.name for each in path.parent.iterdir()} == {"gate.pem", "gate.pub.pem"}
    assert keys.read_private(path).public_key == made.public_key
    assert keys.read_public(keys.public_path(path)) == made.public_key
    with pytest.raises(ConfigError, match="choose a new file"):
        keys.make_key(path)
    assert keys.read_private(path).public_key == made.public_key


@pytest.mark.skipif(os.name != "posix", reason="a file in place of a folder, as POSIX reports it")
def test_a_key_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """One sentence with the path."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="cannot make the signing key"):
        keys.make_key(tmp_path / "file" / "key.pem")
    with pytest.raises(ConfigError, match="cannot write the public key"):
        keys.write_public(
            tmp_path / "file" / "key.pem", keys.make_key(tmp_path / "a.pem").public_key
        )


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_kind_signs_is_verified(kind: str, tmp_path: Path) -> None:
    """By its PEM text alone, which is all that verifiers have; its id is that of its DER."""
    path = tmp_path / "key.pem"
    path.write_bytes(private_pem(KINDS[kind]()))
    signer = keys.read_private(path)

    sealed = signing.seal(b"what is signed", "text/plain", signer)

    public = keys.parse_public(keys.public_pem(signer.public_key), "it")
    assert signing.unseal(sealed, "text/plain", [public]).signers == {public.keyid}
    stranger = keys.make_key(tmp_path / "other.pem").public_key
    with pytest.raises(AttestationError, match="not signed by a trusted key"):
        signing.unseal(sealed, "text/plain", [stranger])


def test_other_keys_are_not_read(tmp_path: Path) -> None:
    """Not another text, an unknown curve, a short key, the other half, or an encrypted key."""
    path = tmp_path / "key.pem"
    contents = (
        b"nothing",
        b"\xff",
        private_pem(ec.generate_private_key(ec.SECP256K1())),
        private_pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505 (that it is refused)
        private_pem(Ed25519PrivateKey.generate(), b"a word that is never shown"),
        keys.public_pem(keys.make_key(tmp_path / "a.pem").public_key).encode(),
    )

    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="holds no private key that can be used") as found:
            keys.read_private(path)
        assert "BEGIN" not in str(found.value)
    for content in contents[:5]:
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="holds no public key that can be used"):
            keys.read_public(path)


@pytest.mark.parametrize("spelling", ["{path}", "file:{path}", "file://{path}", "file2:{path}"])
def test_files_have_uris(spelling: str, tmp_path: Path) -> None:
    """A path and its URI are the same key, with `%` for what a URI may not hold."""
    made = keys.make_key(tmp_path / "a key.pem")
    private, public = (str(tmp_path / name) for name in ("a key.pem", "a key.pub.pem"))
    if ":" in spelling:
        private, public = private.replace(" ", "%20"), public.replace(" ", "%20")

    assert keys.signer_at(spelling.format(path=private)).public_key == made.public_key
    assert keys.public_at(spelling.format(path=public)) == made.public_key


def test_a_relative_file_is_beside_the_policy(tmp_path: Path) -> None:
    """As a path, and as a URI."""
    made = keys.make_key(tmp_path / "gate.pem")

    assert keys.public_at("gate.pub.pem", tmp_path) == made.public_key
    assert keys.public_at("file:gate.pub.pem", tmp_path) == made.public_key


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("missing.pem", "`missing.pem` is no file"),
        ("file:missing.pem", "`missing.pem` is no file"),
        ("file://elsewhere/key.pem", "names more than a file of this machine"),
        ("file://[/key.pem", "cannot be read"),
        ("https://keys/hush-hush", "`https:` is no place of keys"),
        ("AWS_KMS:hush-hush", "is no file"),
        ("sigstore:hush-hush", "begins with `file:`, `awskms:`, `azurekms:`, `gcpkms:`, `hsm:`"),
        ("-----BEGIN PRIVATE KEY-----\nhush-hush", "the text of a key was given"),
    ],
)
def test_a_wrong_place_is_refused_without_its_secret(place: str, told: str) -> None:
    """In a sentence, before anything slow is loaded."""
    with pytest.raises(ConfigError, match=told) as found:
        require_place(place)

    if "AWS_KMS" not in place:
        assert "hush-hush" not in str(found.value)


@pytest.mark.parametrize("scheme", PROVIDERS)
def test_a_providers_package_that_is_missing_is_named(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it; the URI is not repeated."""
    module = {"awskms": "aws", "azurekms": "azure", "gcpkms": "gcp", "hsm": "hsm", "hv": "vault"}
    flag = {"awskms": "AWS", "azurekms": "AZURE", "gcpkms": "GCP", "hsm": "PKCS11", "hv": "VAULT"}
    name = f"securesystemslib.signer._{module[scheme]}_signer.{flag[scheme]}_IMPORT_ERROR"
    monkeypatch.setattr(name, "as where its package is not installed")

    with pytest.raises(ConfigError, match=r"pip install 'securesystemslib\[\w+\]'`$") as found:
        keys.signer_at(require_place(URIS[scheme]))

    assert "hush-hush" not in str(found.value)
    assert PROVIDERS[scheme] in str(found.value)


def test_what_a_provider_says_is_told_without_the_uri() -> None:
    """Its error may repeat what it was asked for; a traceback does not show it either."""

    def ask() -> None:
        raise RuntimeError("no key 2?label=hush-hush,\n or hush-hush is wrong")

    with pytest.raises(ConfigError, match=r"RuntimeError: no key …, or … is wrong") as found:
        asked("hsm", "hsm:2?label=hush-hush", ask)

    assert "hush-hush" not in str(found.value)
    assert found.value.__suppress_context__


class Broken(Signer):
    """A provider that states a key, and signs with another or not at all."""

    def __init__(self, stated: SSlibKey, signs: Signer | None) -> None:
        self.stated, self.signs = stated, signs

    @property
    def public_key(self) -> SSlibKey:
        """The key it states."""
        return self.stated

    @classmethod
    def from_priv_key_uri(cls, *_: Any) -> Broken:
        """Never called."""
        raise NotImplementedError

    def sign(self, payload: bytes) -> Any:
        """A signature of another key, under the id of this one."""
        if self.signs is None:
            raise OSError("token=hush-hush has expired")
        signature = self.signs.sign(payload)
        signature.keyid = self.stated.keyid
        return signature


@pytest.mark.parametrize("signs", [None, CryptoSigner.generate_ed25519()])
def test_a_provider_is_tried_before_anything_begins(
    signs: Signer | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not sign, or not with the key it states, is refused at once."""
    stated = keys.make_key(tmp_path / "key.pem").public_key
    broken = Broken(stated, signs)
    monkeypatch.setattr(Broken, "from_priv_key_uri", lambda *_: broken)
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "hv", Broken)
    monkeypatch.setattr(provided_keys, "_imported", lambda *_: ("hv:gate/3", stated))

    with pytest.raises(ConfigError, match=r"the key at HashiCorp Vault \(`hv:`\) cannot be used"):
        keys.signer_at("hv:gate")
    assert keys.public_of("hv:gate") == stated


@pytest.mark.parametrize(
    ("uri", "accepted"), [("hv:gate", True), ("hv:gate/12", True), ("hv:gate/1", False)]
)
def test_an_older_version_of_a_key_is_refused(
    uri: str, accepted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vault states the public half of the newest alone, and so it is the newest that signs."""
    stated = keys.make_key(tmp_path / "key.pem").public_key
    monkeypatch.setattr(provided_keys, "_imported", lambda *_: ("hv:gate/12", stated))

    with nullcontext() if accepted else pytest.raises(ConfigError, match="than the newest, 12,"):
        assert keys.public_at(uri) == stated


@pytest.mark.parametrize("signs", [None, CryptoSigner.generate_ed25519()])
def test_nothing_is_attested_that_does_not_verify(signs: Signer | None, tmp_path: Path) -> None:
    """A provider that fails, or signs with another key than it states, ends in one sentence."""
    stated = keys.make_key(tmp_path / "key.pem").public_key

    with pytest.raises(AttestationError, match="does not sign") as found:
        signing.seal(b"{}", "application/json", Broken(stated, signs))

    assert "hush-hush" not in str(found.value)
