"""Which settings of a scan are not the shipped ones, for an attestation that has to name them."""

from __future__ import annotations

import json
from functools import cache

from pipeline.config import ScanConfig, flat_settings
from pipeline.gate.provenance import ChangedSetting

RESOURCES = ("seconds", "memory_mb", "until_certain")
"""Last parts of names of settings that only limit what a scan may take; at a limit it ends, and
never with a pass.
"""
MACHINE = ("device", "isolation")
"""Settings and sections that say where and how a scan runs."""


def changed_settings(config: ScanConfig) -> tuple[ChangedSetting, ...]:
    """Every setting but the seed that is not as shipped and may turn a block into a pass.

    The shipped settings have none, and settings with another digest have at least one or another
    seed.
    """
    shipped, given = _shipped(), flat_settings(config)
    return tuple(
        ChangedSetting(
            name=name, value=json.dumps(given.get(name)), shipped=json.dumps(shipped.get(name))
        )
        for name in sorted({*given, *shipped})
        if _decides(name) and given.get(name) != shipped.get(name)
    )


@cache
def _shipped() -> dict[str, object]:
    return flat_settings(ScanConfig())


def _decides(name: str) -> bool:
    section, _, rest = name.partition(".")
    return section not in (*MACHINE, "seed") and rest.rpartition(".")[2] not in RESOURCES
