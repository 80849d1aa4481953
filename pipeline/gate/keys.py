"""Keys that sign and verify, from PEM files or from whoever keeps them; each is known by its
`keyid`, the sha256 of its public half in DER.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from pipeline.atomic_files import place_secret
from pipeline.gate import provided_keys
from pipeline.gate.key_place import PROVIDERS, path_of, provider_scheme
from pipeline.gate.provided_keys import Secret
from stages.errors import ConfigError

PublicKey = Key
SHORTEST_RSA = 2048  # bits

_UNREADABLE = (OSError, ValueError, TypeError, UnsupportedAlgorithm)
_DER = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
_PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def no_secret(name: str) -> str:
    """For whoever has no secrets to give.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(f"the key needs a {name}, and none is given here")


def make_key(path: Path) -> CryptoSigner:
    """A new private key of Ed25519 at `path`, for its owner alone, with its public half beside it.

    The file appears whole or not at all, and an existing one is never replaced.

    Raises:
        ConfigError: there is a file already, or it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    signer = CryptoSigner(key, _known(key.public_key()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place_secret(path, signer.private_bytes)
        public_path(path).write_text(public_pem(signer.public_key), encoding="ascii")
    except OSError as error:
        raise ConfigError(
            f"cannot make the signing key `{path}` ({error.strerror}); choose a new file in a"
            " writable folder"
        ) from error
    return signer


def write_public(path: Path, key: PublicKey) -> Path:
    """Writes a public key to a file that is not there yet, and returns its path.

    Raises:
        ConfigError: there is a file already, or it cannot be written.
    """
    try:
        with path.open("x", encoding="ascii") as file:
            file.write(public_pem(key))
    except OSError as error:
        raise ConfigError(
            f"cannot write the public key `{path}` ({error.strerror}); choose a new file in a"
            " writable folder"
        ) from error
    return path


def public_path(path: Path) -> Path:
    """The path of the public half of the private key at `path`: `key.pub.pem` beside `key.pem`."""
    return path.with_suffix(".pub.pem")


def signer_at(place: str, secret: Secret = no_secret) -> Signer:
    """What signs with the private key at a place: a PEM file, or a provider's URI.

    Raises:
        ConfigError: there is none, or it is not for signing here.
    """
    scheme = provider_scheme(place)
    if scheme is None:
        return read_private(path_of(place))
    uri, stated = provided_keys.public_half(scheme, place, secret)
    return provided_keys.provided_signer(scheme, uri, _public_of(scheme, stated), secret)


def public_at(place: str, folder: Path = Path(), secret: Secret = no_secret) -> PublicKey:
    """The public key at a place: a PEM file, relative to the folder, or a provider's URI.

    Raises:
        ConfigError: there is none, or it is not one that can verify here.
    """
    scheme = provider_scheme(place)
    if scheme is None:
        return read_public(path_of(place, folder))
    return _public_of(scheme, provided_keys.public_half(scheme, place, secret)[1])


def public_of(place: str, secret: Secret = no_secret) -> PublicKey:
    """The public half of the private key at a place: a PEM file, or a provider's URI.

    Raises:
        ConfigError: as `signer_at`, but whoever asks need not be allowed to sign.
    """
    if provider_scheme(place) is None:
        return read_private(path_of(place)).public_key
    return public_at(place, secret=secret)


def read_private(path: Path) -> CryptoSigner:
    """What signs with the private key in a PEM file.

    Raises:
        ConfigError: the file cannot be read, or is no unencrypted private key of a known kind.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        return CryptoSigner(key, _known(key.public_key()))
    except _UNREADABLE as error:
        raise ConfigError(_no_key("private", str(path), error)) from None


def read_public(path: Path) -> PublicKey:
    """The public key in a PEM file.

    Raises:
        ConfigError: the file cannot be read, or is no public key of a known kind.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except _UNREADABLE as error:
        raise ConfigError(_no_key("public", str(path), error)) from error
    return parse_public(text, str(path))


def parse_public(text: str, name: str) -> PublicKey:
    """The public key in a PEM text, which messages call `name`.

    Raises:
        ConfigError: the text is no public key of a known kind.
    """
    try:
        return _known(serialization.load_pem_public_key(text.encode()))
    except _UNREADABLE as error:
        raise ConfigError(_no_key("public", name, error)) from None


def public_pem(key: PublicKey) -> str:
    """The key as PEM text."""
    assert isinstance(key, SSlibKey), "each is made by `_known`"  # noqa: S101 (our own logic)
    return key._crypto_key().public_bytes(*_PEM).decode("ascii")


def _known(key: Any) -> SSlibKey:
    """A key of cryptography by its own id.

    Raises:
        ValueError: it is of a kind that cannot sign here.
    """
    if isinstance(key, RSAPublicKey) and key.key_size < SHORTEST_RSA:
        raise ValueError(f"RSA of {key.key_size} bits")
    return SSlibKey.from_crypto(key, hashlib.sha256(key.public_bytes(*_DER)).hexdigest())


def _public_of(scheme: str, stated: SSlibKey) -> SSlibKey:
    """The key that a provider states, by its own id; its PEM text alone says how it is verified."""
    try:
        key = _known(stated._crypto_key())
    except _UNREADABLE as error:
        raise ConfigError(_no_key("public", PROVIDERS[scheme], error)) from error
    if key.scheme != stated.scheme:
        raise ConfigError(
            f"the key at {PROVIDERS[scheme]} signs by `{stated.scheme}`, expected `{key.scheme}`;"
            " make a key for that"
        )
    return key


def _no_key(half: str, name: str, error: BaseException) -> str:
    kind = str(error) if str(error).startswith(("RSA of", "unsupported")) else type(error).__name__
    return (
        f"`{name}` holds no {half} key that can be used ({kind}); expected an unencrypted PEM file"
        f" of Ed25519, ECDSA, RSA of {SHORTEST_RSA} bits or more, or ML-DSA, such as"
        " `ban-gate keygen` writes"
    )
