"""BAN as published (`stages.published.ban`): the class that noise and negative mask lead to.

Its score is the share of the most frequent class; the paper states no threshold.
Source: BAN (arXiv 2405.19928); deviations in `stages.published.ban`.
"""

from __future__ import annotations

import numpy as np

from benchmarks.peers import Finding, histogram
from stages.published.ban import run_ban
from stages.published.settings import BanConfig
from stages.twin.sites import measure_sites
from stages.types import CleanSamples, TorchTwin

Config = BanConfig


def find(twin: TorchTwin, samples: CleanSamples, config: Config, seed: int) -> Finding:
    """The class most predictions fall in under the noise, with its share as the score."""
    result = run_ban(twin, samples, measure_sites(twin, samples), config, seed)
    after = (result.predictions / result.predictions.sum()).astype(np.float32)
    return histogram.finding(histogram.clean_shares(twin, samples), after)
