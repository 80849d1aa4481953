"""A case for every operator that the converters handle, in one file for each kind of operator."""

from __future__ import annotations

from tests.support.operators import (
    counted,
    elementwise,
    generators,
    layers,
    norms,
    pads,
    pools,
    quantised,
    shapes,
)

CASES = [
    *(*quantised.CASES, *generators.CASES, *norms.CASES, *counted.CASES, *layers.CASES),
    *(*pools.CASES, *shapes.CASES, *pads.CASES, *elementwise.CASES),
]
