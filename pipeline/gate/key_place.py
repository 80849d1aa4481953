"""Where a key is: the path of a PEM file, or the URI of one that a provider keeps to itself.

Nothing slow is imported to see whether it is written rightly. Messages never repeat a URI, which
may hold a secret, nor what looks like a key itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stages.errors import ConfigError

FILE_SCHEMES = ("file", "file2")
PROVIDERS = {
    "awskms": "AWS KMS",
    "azurekms": "Azure Key Vault",
    "gcpkms": "Google Cloud KMS",
    "hsm": "a token of PKCS #11",
    "hv": "HashiCorp Vault",
}
"""Who keeps a key, by the scheme of its URI, as in securesystemslib."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_KEY_ITSELF = re.compile(r"-----BEGIN|\n")


def provider_scheme(place: str) -> str | None:
    """The scheme of a URI of a provider's key; None for that of a file, and for a path."""
    found = _SCHEME.match(place)
    scheme = found[1].lower() if found else None
    if scheme is None or scheme in FILE_SCHEMES:
        return None
    if scheme not in PROVIDERS:
        raise ConfigError(
            f"`{scheme}:` is no place of keys; give the path of a PEM file, or a URI that begins"
            f" with {', '.join(f'`{each}:`' for each in ('file', *PROVIDERS))}"
        )
    return scheme


def path_of(place: str, folder: Path = Path()) -> Path:
    """The file that a path or a `file:` URI names; a relative one is in the folder.

    Raises:
        ConfigError: it is the text of a key, names another machine, or there is no such file.
    """
    if _KEY_ITSELF.search(place):
        raise ConfigError("the text of a key was given in place of its file; write it to a file")
    path = folder / Path(_local(place) if _SCHEME.match(place) else place)
    if not path.is_file():
        raise ConfigError(
            f"the key `{path}` is no file; give one that is there, such as `ban-gate keygen` writes"
        )
    return path


def require_place(place: str) -> str:
    """The same text, which names a file that is there, or a key of a known provider.

    Raises:
        ConfigError: it does not.
    """
    if provider_scheme(place) is None:
        path_of(place)
    return place


def _local(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ConfigError("a `file:` URI cannot be read; give the file's path") from error
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise ConfigError(
            "a `file:` URI names more than a file of this machine; write it as `file:key.pem` or"
            " `file:///folder/key.pem`"
        )
    return unquote(parts.path)
