"""Converters that onnx2torch lacks or gets wrong, registered in place of its own.

Order matters: replacements first, then new operators, and aliases last, so that an alias carries
the repaired converter to the newer operator versions.
"""

from __future__ import annotations

from stages.converters import (
    activation,
    aliases,
    attention,
    cast,
    columns,
    convolution,
    counting,
    expand,
    indexing,
    linear,
    normalisation,
    pad,
    pooling,
    quantisation,
    reduce,
    reshape,
    resize,
    slicing,
    split,
    steps,
    whole_numbers,
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
    steps,
    cast,
    whole_numbers,
    reduce,
    resize,
)


def register() -> None:
    """Puts all converters of this package into onnx2torch's registry.

    A second call changes nothing.
    """
    for replacement in _REPLACEMENTS:
        replacement.register()
    for addition in (activation, attention, columns, counting, quantisation):
        addition.register()
    aliases.register()
