"""How a verdict came about: what an attestation states of it beside the verdict itself."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ChangedSetting:
    """A setting that was not the shipped one: its full name, and both values as JSON."""

    name: str
    value: str
    shipped: str

    def __post_init__(self) -> None:
        """Raises `ValueError` for values that are no JSON."""
        for text in (self.value, self.shipped):
            json.loads(text)

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """By what a version was judged, with which settings, on what, and beside what.

    `scanner` is the version of ban-gate, empty if unknown. `settings_digest` covers every setting
    that can change a verdict, the seed included; `changed_settings` are those of them that were not
    as shipped, without the seed. `references` are names and digests of the models the version was
    compared with; `given_references` are the sha256 of those that the caller brought, which no
    registry vouches for. `findings` are severity and rule of what was found in the graph,
    `isolation_missing` says, in sentences, what the isolation of the child processes lacked.
    `unfinished` says why the scan did not come to its end, and is empty where it did, or where its
    verdict was certain before.
    Digests are sha256 in hexadecimal, the accuracy is a share in [0, 1].
    """

    scanner: str
    device: str
    seed: int
    settings_digest: str
    changed_settings: tuple[ChangedSetting, ...] = ()
    samples_digest: str | None = None
    samples: int = 0
    clean_accuracy: float | None = None
    references: tuple[str, ...] = ()
    given_references: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    isolation_missing: tuple[str, ...] = ()
    unfinished: str = ""
