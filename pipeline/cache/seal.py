"""The mark by which a store knows its own entries: an HMAC with a secret that lies elsewhere.

Whoever may write to the folder of a store, but does not have the secret, cannot plant a result.
"""

from __future__ import annotations

import hmac
from pathlib import Path

SEAL = "seal"


def write_seal(folder: Path, secret: bytes, place: str, record: bytes) -> None:
    """Marks the entry in `folder`, whose record this is, as one of the store's own at `place`."""
    (folder / SEAL).write_text(_mac(secret, place, record))


def require_seal(folder: Path, secret: bytes, place: str, record: bytes) -> None:
    """Raises unless the record was marked with this secret, at this place.

    Raises:
        ValueError: it was not.
        OSError: the mark is missing.
    """
    if not hmac.compare_digest((folder / SEAL).read_bytes(), _mac(secret, place, record).encode()):
        raise ValueError(f"`{SEAL}` was not made with this user's secret")


def _mac(secret: bytes, place: str, record: bytes) -> str:
    return hmac.new(secret, place.encode() + b"\0" + record, "sha256").hexdigest()
