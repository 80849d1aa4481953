"""How the steps of a scan hand over what they find, as soon as it is known."""

from __future__ import annotations

from collections.abc import Callable

Note = Callable[..., None]
"""Takes a piece of evidence by name, as soon as it is known."""


def unnoted(**_evidence: object) -> None:
    """For whoever keeps no evidence."""
