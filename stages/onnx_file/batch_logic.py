"""Decisions about the size of the batch, which no search could see at the batch it looks at.

A graph can ask how many images it gets and answer one image with other scores than several. What a
graph computes from sizes is therefore evaluated at several sizes of the batch. An honest graph
treats every sample alike: its sizes are fixed or grow with the batch, numbers that meet the data
are the same, once or once per sample, and nothing joins the samples of a batch.
Source: the rules are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
from onnx import ModelProto, NodeProto

from stages.passes.known_values import BATCHES, Array, Known, at_batches
from stages.types import GraphFinding, Severity

Sizes = tuple[int, ...]

SHAPE_ARGUMENTS = {
    "Reshape": {1},
    "Expand": {1},
    "Tile": {1},
    "ConstantOfShape": {0},
    "Range": {1},
    "OneHot": {1},
    "Slice": {2},
    "Split": {1},
    "TopK": {1},
    "Resize": {3},
    "CenterCropPad": {1},
    "AffineGrid": {1},
}
"""The inputs of operators of which the result's shape shows all that they can change."""
ABOUT_SHAPE = frozenset(["Shape", "Size"])
"""Operators whose output says nothing about the contents of their input."""
MOVED: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(["Add", "Sub", "Sum", "Concat"], tuple(range(64))),
    **dict.fromkeys(["Gather", "Slice", "Split", "Cast", "CastLike", "Neg", "ReduceSum"], (0,)),
    **dict.fromkeys(["Unsqueeze", "Squeeze", "Flatten", "Transpose", "Identity"], (0,)),
    **dict.fromkeys(["Reshape", "Expand", "Tile", "ConstantOfShape", "Range"], (0, 1, 2)),
    "Where": (1, 2),
}
"""The inputs of operators that only move, add or spread numbers."""
PRODUCTS = frozenset(["Mul", "ReduceProd"])
"""Operators that scale a number, if no more than one that they read depends on the batch."""
COMPARISONS = frozenset(["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
GATHERED = frozenset([("Gather", 1), ("GatherND", 1), ("GatherElements", 1)])
"""The inputs of operators that say which entries are read."""
OF_TYPE = frozenset([("CastLike", 1)])
"""The inputs of operators of which the element type alone matters."""
EXTREMES = frozenset(["ReduceMin", "ReduceMax"])
"""Operators that give the range of a tensor, by which quantisation joins the samples."""
RULE = "depends-on-batch"


def find_batch_logic(model: ModelProto) -> tuple[GraphFinding, ...]:
    """The first node where the scores depend on how many samples are in the batch, if any.

    A position in the batch that meets whole numbers, as for picking a token, is a warning.
    """
    for at_side in at_batches(model):
        found = list(_differences(model, at_side)) if len(at_side) > 1 else []
        blocking = [each for each in found if each.severity == "blocking"]
        if found:
            return tuple(blocking[:1] or found[:1])
    return ()


def _differences(model: ModelProto, at_side: Sequence[Known]) -> Iterator[GraphFinding]:
    """Every difference between the sizes of the batch, in the order of the nodes."""
    chosen: set[str] = set()
    for node in model.graph.node:
        if node.op_type in ABOUT_SHAPE:
            continue
        if _is_number(node, at_side):
            if _chooses(node, at_side, chosen):
                chosen.update(node.output)
            continue
        if len({known.branches.get(node.output[0]) for known in at_side}) > 1:
            yield _finding(node, "takes a branch that depends on")
            continue
        yield from _by_numbers(node, at_side, chosen)
        if not _keeps_samples(node, at_side):
            yield _finding(node, "gives a shape, or joins samples, in a way that depends on")


def _is_number(node: NodeProto, at_side: Sequence[Known]) -> bool:
    return all(name in known.numbers for known in at_side for name in node.output if name)


def _chooses(node: NodeProto, at_side: Sequence[Known], chosen: set[str]) -> bool:
    """Whether a number may be another at a batch at which nobody looks.

    It may if it follows from the batch by more than moving, adding or scaling numbers. No batch has
    less than one sample, so that comparing its size with nothing is no choice.
    """
    if not chosen.isdisjoint(node.input):
        return True
    counts = {index: _differing(name, at_side) for index, name in enumerate(node.input)}
    differ = {index: count for index, count in counts.items() if count}
    moved = set(differ).issubset(MOVED.get(node.op_type, ()))
    if node.op_type in PRODUCTS:
        return sum(differ.values()) > 1 and (len(differ) > 1 or node.op_type == "ReduceProd")
    return not moved and not (node.op_type in COMPARISONS and _with_nothing(node, differ, at_side))


def _differing(name: str, at_side: Sequence[Known]) -> int:
    """How many entries of a number are not the same for every sample at all sizes of the batch."""
    numbers = [known.numbers.get(name, np.zeros(0)) for known in at_side]
    if _alike(numbers):
        return 0
    if len({one.shape for one in numbers}) > 1:
        return max(one.size for one in numbers)
    return int(np.any([one != numbers[0] for one in numbers[1:]], axis=0).sum())


def _with_nothing(node: NodeProto, differ: dict[int, int], at_side: Sequence[Known]) -> bool:
    others = [name for index, name in enumerate(node.input) if index not in differ]
    return len(others) == 1 and bool(np.all(np.less_equal(at_side[0].numbers[others[0]], 0)))


def _by_numbers(
    node: NodeProto, at_side: Sequence[Known], chosen: set[str]
) -> Iterator[GraphFinding]:
    """Where a number that is not the same for every sample enters what is no shape.

    Places in the batch by which its samples are gathered are as good as a shape.
    """
    for index, name in enumerate(node.input):
        numbers = [known.numbers[name] for known in at_side if name in known.numbers]
        if (_alike(numbers) and name not in chosen) or index in SHAPE_ARGUMENTS.get(
            node.op_type, ()
        ):
            continue
        whole = all(np.issubdtype(one.dtype, np.integer) for one in numbers)
        places = whole and _begins(numbers)
        if name in chosen:
            places = False
        if places and (node.op_type, index) in GATHERED:
            continue
        severity: Severity = "warning" if places else "blocking"
        yield replace(_finding(node, f"reads `{name}`, which depends on"), severity=severity)


def _alike(numbers: Sequence[Array]) -> bool:
    """Whether the numbers are the same, or those of one sample once or in a row for each."""
    return all(_repeats(numbers[0], one) for one in numbers[1:])


def _repeats(first: Array, other: Array) -> bool:
    if first.ndim != other.ndim:
        return False
    if first.shape == other.shape:
        return np.array_equal(first, other, equal_nan=first.dtype.kind == "f")
    for axis, (size, longer) in enumerate(zip(first.shape, other.shape, strict=True)):
        times, rest = divmod(longer, size) if size else (0, 0)
        if times > 1 and not rest:
            tiled = np.tile(first, [times if index == axis else 1 for index in range(first.ndim)])
            return np.array_equal(tiled, other) or np.array_equal(
                np.repeat(first, times, axis), other
            )
    return False


def _begins(numbers: Sequence[Array]) -> bool:
    """Whether a larger batch adds to the numbers of a smaller one, as its samples' places do."""
    return all(
        small.ndim == large.ndim
        and all(a <= b for a, b in zip(small.shape, large.shape, strict=True))
        and small.size < large.size
        and np.array_equal(large[tuple(slice(size) for size in small.shape)], small)
        for small, large in pairwise(numbers)
    )


def _keeps_samples(node: NodeProto, at_side: Sequence[Known]) -> bool:
    """Whether what a node makes is fixed or grows with the batch, and grows if what it reads does.

    What is not known everywhere is taken to do so. The range of a whole tensor, by which it is
    quantised, may join its samples.
    """
    made = [_shapes(name, at_side) for name in node.output if name]
    if not all(_grows(shapes) or _fixed(shapes) for shapes in made if shapes is not None):
        return False
    if node.op_type in EXTREMES and made == [[()] * len(at_side)]:
        return True
    names = [
        name
        for index, name in enumerate(node.input)
        if name and (node.op_type, index) not in OF_TYPE
    ]
    read = [_shapes(name, at_side) for name in names]
    grown = any(shapes is not None and _grows(shapes) for shapes in read)
    return not grown or any(shapes is None or _grows(shapes) for shapes in made)


def _shapes(name: str, at_side: Sequence[Known]) -> list[Sizes] | None:
    """The sizes of a value at each batch; None where one of them is unknown."""
    shapes = [known.shape(name) for known in at_side]
    sized = [tuple(size for size in shape or () if size is not None) for shape in shapes]
    return sized if sized == shapes else None


def _fixed(shapes: Sequence[Sizes]) -> bool:
    return len(set(shapes)) == 1


def _grows(shapes: Sequence[Sizes]) -> bool:
    """Whether the value is larger in proportion to the batch, and nothing else about it changes.

    Without a list of axes, Squeeze drops a batch of one as well; then the whole size must grow.
    """
    if len({len(shape) for shape in shapes}) > 1:
        shapes = [(prod(shape),) for shape in shapes]
    along = [_along(sizes) for sizes in zip(*shapes, strict=True)]
    return all(along) and not _fixed(shapes)


def _along(sizes: Sequence[int]) -> bool:
    """Whether an axis has one size at every batch, or so many entries per sample."""
    return len(set(sizes)) == 1 or all(
        size == sizes[0] * batch for size, batch in zip(sizes, BATCHES, strict=True)
    )


def _finding(node: NodeProto, what: str) -> GraphFinding:
    name = node.name or node.output[0]
    return GraphFinding(
        rule=RULE,
        severity="blocking",
        message=f"`{node.op_type}` {what} how many samples are in the batch, at `{name}`",
        nodes=(name,),
    )
