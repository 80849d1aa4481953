"""The demo's clean samples, or the first of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.places import DEMO

TOO_FEW = 20
"""So few that a scan is inconclusive, and quick."""


def save_samples(path: Path, count: int | None = None) -> Path:
    """Writes the first `count` samples, or all."""
    with np.load(DEMO / "samples.npz") as samples:
        np.savez(path, images=samples["images"][:count], labels=samples["labels"][:count])
    return path
