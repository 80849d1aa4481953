"""Converters that onnx2torch lacks or gets wrong, registered over its own.

Order matters: replacements first, then new operators, and aliases last, so that an alias carries
the repaired converter to the newer operator versions.
"""

from __future__ import annotations

from stages.converters import (
    activation,
    aliases,
    attention,
    cast,
    convolution,
    expand,
    indexing,
    linear,
    normalisation,
    pad,
    pooling,
    reduce,
    reshape,
    slicing,
    split,
)

_REPLACEMENTS = (
    convolution,
    pooling,
    normalisation,
    linear,
    reshape,
    expand,
    slicing,
    indexing,
    pad,
    split,
    reduce,
)


def register() -> None:
    """Puts all converters of this package into onnx2torch's registry; again is no change."""
    for replacement in _REPLACEMENTS:
        replacement.register()
    for addition in (activation, cast, attention):
        addition.register()
    aliases.register()
