"""Keys that never leave their provider: a cloud's key service, Vault, or a token of PKCS #11.

securesystemslib speaks to them, each with a package of the provider's own, which is installed on
demand. Who may use a key is the provider's business, by the credentials it finds by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import (
    AWSSigner,
    AzureSigner,
    GCPSigner,
    HSMSigner,
    Signer,
    SSlibKey,
    VaultSigner,
)

from pipeline.gate.key_place import PROVIDERS
from pipeline.printable import printable
from stages.errors import ConfigError

Answer = TypeVar("Answer")
Secret = Callable[[str], str]
"""Gives a secret by its name, such as `pin`."""
Imported = tuple[str, SSlibKey]
"""The URI of a key, with its version or token, and the public half that its provider states."""
EXTRAS = {"hv": "vault"}
"""Extras of securesystemslib that are not called as their scheme is."""
VERSIONED = ("azurekms", "hv")
"""Providers that are asked for a key by its name and answer with its newest version."""
PROBE_TYPE = "application/vnd.ban-gate.probe"
"""The type of what is signed to see whether a key signs; it states nothing."""
LONGEST = 200  # characters of what a provider says


def public_half(scheme: str, uri: str, secret: Secret) -> Imported:
    """The URI that signs, and the public half, as the provider states it now.

    Raises:
        ConfigError: its package is missing, it cannot be reached, has no such key or does not give
            it, or the URI names a version that is not the newest.
    """
    found, key = asked(scheme, uri, lambda: _imported(scheme, uri, secret))
    if scheme in VERSIONED and not f"{found}/".startswith(f"{uri.rstrip('/')}/"):
        raise ConfigError(
            f"the URI of the key at {PROVIDERS[scheme]} names another version than the newest,"
            f" {found.rpartition('/')[2]}, which alone can sign here; leave the version out"
        )
    return found, key


def provided_signer(scheme: str, uri: str, key: SSlibKey, secret: Secret) -> Signer:
    """What signs with the provider's key of that URI, whose public half is known; it has signed a
    probe, so that nothing long begins which it would not sign.

    Raises:
        ConfigError: as `public_half`, or it does not sign, or not with that key.
    """

    def tried() -> Signer:
        signer, probe = Signer.from_priv_key_uri(uri, key, secret), Envelope(b"", PROBE_TYPE, {})
        probe.sign(signer)
        probe.verify([key], 1)
        return signer

    return asked(scheme, uri, tried)


def asked(scheme: str, uri: str, ask: Callable[[], Answer]) -> Answer:
    """What a provider answers.

    Raises:
        ConfigError: its package is missing, or it fails, in whichever way.
    """
    try:
        return ask()
    except ConfigError:
        raise
    except UnsupportedLibraryError as error:
        raise ConfigError(
            f"keys of {PROVIDERS[scheme]} (`{scheme}:`) need further packages; install them by"
            f" `pip install 'securesystemslib[{EXTRAS.get(scheme, scheme)}]'`"
        ) from error
    except Exception as error:  # noqa: BLE001 (each provider has errors of its own)
        raise ConfigError(
            f"the key at {PROVIDERS[scheme]} (`{scheme}:`) cannot be used ({_said(error, uri)});"
            " check its URI, and the credentials and address in the environment"
        ) from None  # what it says may hold what the URI holds


def _imported(scheme: str, uri: str, secret: Secret) -> Imported:
    name = uri.partition(":")[2]
    match scheme:
        case "awskms":
            return AWSSigner.import_(name)
        case "gcpkms":
            return GCPSigner.import_(name)
        case "hv":
            return VaultSigner.import_(name.partition("/")[0])
        case "azurekms":
            parts = urlsplit(uri)
            _, keys, key, *_ = parts.path.split("/")
            if keys != "keys":
                raise ValueError("expected azurekms://VAULT.vault.azure.net/keys/NAME")
            return AzureSigner.import_(parts.netloc.partition(".")[0], key)
    number, label = urlsplit(uri).path, parse_qs(urlsplit(uri).query).get("label", [None])[0]
    return HSMSigner.import_(int(number) if number else None, label, secret)


def _said(error: BaseException, uri: str) -> str:
    """What a provider says, without what may be secret in the URI."""
    text = printable(" ".join(str(error).split()))
    secrets = [each for values in parse_qs(urlsplit(uri).query).values() for each in values]
    for part in (uri, uri.partition(":")[2], *secrets):
        text = text.replace(part, "…") if part else text
    return f"{type(error).__name__}: {text[:LONGEST]}" if text else type(error).__name__
