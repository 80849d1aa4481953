"""What every search says of a made-up model of five classes, without searching."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stages.searches import SEARCHES
from stages.searches.search import AttackSuccess, Effort, SearchResult, Sweep
from stages.searches.trigger import (
    Displacement,
    FewerColours,
    Filter,
    Overlay,
    Patch,
    Pattern,
    Trigger,
)
from stages.types import Floats

EFFORT = Effort(steps=70, images=1120)
ONE = np.ones((1, 1, 1), np.float32)


def searches(random: np.random.Generator) -> dict[str, SearchResult]:
    """What the searches say of 5 classes of images (1, 4, 4): all lead to class 3, but for the
    permutation, which finds nothing.
    """
    found = {**_by_images(random), **_by_fixed_changes(random), **_by_the_net()}
    return {search.name: found[search.name] for search in SEARCHES}


def _by_images(random: np.random.Generator) -> dict[str, SearchResult]:
    """What is said by searches that lay something on images."""
    return {
        "blend": recovered(
            {
                "margin": (-0.5, -0.4, -0.6, 2.0, -0.5),
                "standardised_margin": (-0.8, -0.7, -0.9, 5.0, -0.8),
                "strong_margin": (0.5, 0.4, 0.6, 4.0, 0.5),
            },
            Overlay(opacity=0.1, pattern=random.random((1, 4, 4), np.float32)),
            AttackSuccess(rate=0.95, samples=20),
        ),
        "patch": recovered(
            {"standardised_margin": (-0.2, -0.1, -0.3, 1.5, -0.2)},
            _patch(random, 2),
            AttackSuccess(rate=0.75, samples=16),
        ),
        "small_patch": recovered(
            {"standardised_margin": (-0.3, -0.1, -0.2, 1.25, -0.2)},
            _patch(random, 1),
            AttackSuccess(rate=0.625, samples=8),
        ),
        "warp": recovered(
            {"standardised_margin": (-0.4, -0.3, -0.5, 1.0, -0.4)},
            Displacement(flow=random.random((4, 4, 2), np.float32) / 10),
            AttackSuccess(rate=0.5, samples=18),
        ),
        "tone": recovered(
            {"margin": (-0.6, -0.5, -0.7, 0.5, -0.6)},
            _filter(),
            AttackSuccess(rate=0.25, samples=12),
        ),
        "permutation": SearchResult(
            statistics={
                "patch_margin": np.full(5, -0.25, np.float32),
                "blend_margin": np.full(5, -0.5, np.float32),
            },
            targets=(),
            mapping=np.array([1, 2, 3, 4, 0]),
            trigger=_patch(random, 2),
            success=AttackSuccess(rate=0.125, samples=40),
            effort=EFFORT,
        ),
    }


def _by_fixed_changes(random: np.random.Generator) -> dict[str, SearchResult]:
    """What is said by searches that try the same changes for every class."""
    return {
        "wave": recovered(
            {"standardised_margin": (-0.5, -0.4, -0.6, 0.75, -0.5)},
            Pattern(pattern=random.random((1, 4, 4), np.float32) / 4, low=0 * ONE, high=ONE),
            AttackSuccess(rate=0.375, samples=8),
        ),
        "fewer_colours": recovered(
            {"standardised_margin": (-0.9, -0.8, -1.0, 0.25, -0.9)},
            FewerColours(levels=3, low=0 * ONE, high=ONE),
            AttackSuccess(rate=0.125, samples=8),
        ),
        "source_patch": recovered(
            {"source_margin": (-0.1, 0.1, -0.2, 0.5, 0.0)},
            _patch(random, 2),
            AttackSuccess(rate=0.25, samples=4, source=1),
        ),
    }


def _by_the_net() -> dict[str, SearchResult]:
    """What is said by searches that lay nothing on images."""
    return {
        "neuron_noise": recovered(
            {"margin": (-0.5, -0.5, -0.4, 0.8, -0.6)},
            None,
            AttackSuccess(rate=0.875, samples=24, inside_twin=True),
            sweep(np.float32([[0.05, 0.05, 0.05, rate, 0.05] for rate in (0.2, 0.9, 1.0)])),
        ),
        "head_probe": recovered({"share": (-0.1, -0.2, 0.0, 0.5, -0.2)}, None, None),
    }


def _patch(random: np.random.Generator, side: int) -> Patch:
    """A patch in a corner of images (1, 4, 4)."""
    mask = np.zeros((1, 4, 4), np.float32)
    mask[0, :side, :side] = 1
    return Patch(mask=mask, colours=random.random((1, 4, 4), np.float32))


def _filter() -> Filter:
    """A filter that darkens images of one colour in [0, 1]."""
    return Filter(
        mixing=np.full((1, 1), 0.75, np.float32),
        lift=np.zeros(1, np.float32),
        curve=1.5,
        corners=0.25,
        low=0 * ONE,
        high=ONE,
    )


def recovered(
    statistics: Mapping[str, tuple[float, ...]],
    trigger: Trigger | None,
    success: AttackSuccess | None,
    swept: Sweep | None = None,
) -> SearchResult:
    """What a search says whose first statistic is largest for its target."""
    values = {name: np.array(each, np.float32) for name, each in statistics.items()}
    return SearchResult(
        statistics=values,
        targets=(int(next(iter(values.values())).argmax()),),
        trigger=trigger,
        success=success,
        effort=EFFORT,
        sweep=swept,
    )


def sweep(success_rate: Floats, sites: int = 2) -> Sweep:
    """A sweep of three bounds, with success rates (3, K), that the verdict looks at the second of.

    The median class comes half the way there.
    """
    margins = np.float32([[-0.9], [-0.45], [0.2]]) + np.float32(success_rate - 0.05)
    by_site = np.random.default_rng(0).random((success_rate.shape[1], sites), np.float32)
    return Sweep(
        bounds=np.array([0.01, 0.1, 1.0], np.float32),
        success_rate=success_rate,
        worst_source=success_rate / np.float32(2),
        target_margin=margins,
        chosen=1,
        by_site=by_site,
    )
