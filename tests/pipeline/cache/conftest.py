"""What tests of the store share."""

from __future__ import annotations

import pytest

from stages.types import CleanSamples
from tests.support.counted_stages import calls, samples_of


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    calls.clear()


@pytest.fixture
def samples() -> CleanSamples:
    """Two images of ones."""
    return samples_of(1.0)
