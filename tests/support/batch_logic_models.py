"""Classifiers that ask how many images they get: to answer one alone otherwise, or honestly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.support.graph_logic_models import CLASSES, TARGET, classifier, node

NUMBERS = {"first": np.array(0), "one": np.array(1), "two": np.array(2), "here": np.array([0])}
COUNTED = [node("Shape", "x", "shape"), node("Gather", "shape first", "count")]
LIMITED = [node("Sub", "two count", "rest"), node("Relu", "rest", "alone")]
PUSHED = [
    node("Cast", "alone", "number", to=TensorProto.FLOAT),
    node("Mul", "number target", "push"),
    node("Add", "honest push", "scores"),
]


def after(*nodes: onnx.NodeProto, **more: np.ndarray) -> onnx.ModelProto:
    """The classifier with nodes behind its scores, and constants for them."""
    return classifier([], list(nodes), TARGET | NUMBERS | more)


def equal_one() -> onnx.ModelProto:
    """One image alone gets other scores."""
    return after(
        *COUNTED,
        node("Equal", "count one", "alone"),
        node("Where", "alone target honest", "scores"),
    )


def relu_of_the_count() -> onnx.ModelProto:
    """Relu(2 − n) is one for one image alone and otherwise nothing."""
    return after(*COUNTED, *LIMITED, *PUSHED)


def by_size() -> onnx.ModelProto:
    """The number of all pixels says as much as the batch."""
    return after(
        node("Size", "x", "pixels"),
        node("Less", "pixels limit", "alone"),
        node("Where", "alone target honest", "scores"),
        limit=np.array(65),
    )


def branch_on_count() -> onnx.ModelProto:
    """An If whose condition is the size of the batch."""

    def branch(operator: str) -> onnx.GraphProto:
        output = helper.make_tensor_value_info(operator, TensorProto.FLOAT, None)
        made = [helper.make_node(operator, ["honest"], [operator])]
        return helper.make_graph(made, operator, [], [output])

    branches = {"then_branch": branch("Neg"), "else_branch": branch("Identity")}
    return after(
        *COUNTED, node("Equal", "count one", "alone"), node("If", "alone", "scores", **branches)
    )


def counted_ones() -> onnx.ModelProto:
    """The count is made of a constant's shape: many ones for one image, none for more."""
    ones = helper.make_tensor("value", TensorProto.FLOAT, [1], [1.0])
    return after(
        *COUNTED,
        *LIMITED,
        node("Unsqueeze", "alone here", "size"),
        node("ConstantOfShape", "size", "ones", value=ones),
        node("ReduceSum", "ones here", "sum", keepdims=1),
        node("Mul", "sum target", "push"),
        node("Add", "honest push", "scores"),
    )


def counted_thousands() -> onnx.ModelProto:
    """The same of so many ones that nobody wants to compute them."""
    ones = helper.make_tensor("value", TensorProto.FLOAT, [1], [1e-6])
    return after(
        *COUNTED,
        node("Mul", "count many", "size"),
        node("ConstantOfShape", "size", "ones", value=ones),
        node("ReduceSum", "ones here", "sum", keepdims=1),
        node("Sub", "limit sum", "rest"),
        node("Relu", "rest", "alone"),
        node("Mul", "alone target", "push"),
        node("Add", "honest push", "scores"),
        many=np.array([10**6]),
        limit=np.array(2, np.float32),
    )


def cut_pixels() -> onnx.ModelProto:
    """How much of the image is read depends on the batch."""
    return after(
        *COUNTED,
        *LIMITED,
        node("Unsqueeze", "alone here", "ends"),
        node("Slice", "x here ends last", "cut"),
        node("ReduceSum", "cut inner", "sum", keepdims=0),
        node("Unsqueeze", "sum last", "column"),
        node("Mul", "column target", "push"),
        node("Add", "honest push", "scores"),
        last=np.array([1]),
        inner=np.array([1, 2, 3]),
    )


def moved_window() -> onnx.ModelProto:
    """Which part of the scores' table is read depends on the batch, its size does not."""
    return after(
        *COUNTED,
        *LIMITED,
        node("Unsqueeze", "alone here", "starts"),
        node("Add", "starts one", "ends"),
        node("Slice", "table starts ends here", "row"),
        node("Add", "honest row", "scores"),
        table=np.concatenate([np.zeros((1, CLASSES), np.float32), TARGET["target"]]),
    )


def joined_samples() -> onnx.ModelProto:
    """The mean over the batch is taken from each sample, so that one alone has nothing left."""
    return after(
        node("ReduceMean", "honest", "usual", axes=[0], keepdims=1),
        node("Sub", "honest usual", "scores"),
    )


def first_of_the_batch() -> onnx.ModelProto:
    """The first image of a batch is treated otherwise than all others."""
    return after(
        *COUNTED,
        node("Range", "first count one", "places"),
        node("Equal", "places first", "is_first"),
        node("Unsqueeze", "is_first last", "column"),
        node("Where", "column target honest", "scores"),
        last=np.array([1]),
    )


def equal_three() -> onnx.ModelProto:
    """Three images, a number at which nobody looks, get other scores."""
    return after(
        *COUNTED,
        node("Equal", "count three", "alone"),
        node("Where", "alone target honest", "scores"),
        three=np.array(3),
    )


def polynomial() -> onnx.ModelProto:
    """A product that is nothing at 1, 2 and 7 and something between."""
    return after(
        *COUNTED,
        node("Sub", "count roots", "factors"),
        node("ReduceProd", "factors", "alone", keepdims=1),
        *PUSHED,
        roots=np.array([1, 2, 7]),
    )


def read_from_a_table() -> onnx.ModelProto:
    """The size of the batch is the row of a table."""
    return after(
        *COUNTED,
        node("Gather", "table count", "alone"),
        *PUSHED,
        table=np.array([0, 0, 0, 1, 1, 1, 1, 0]),
    )


def class_token() -> onnx.ModelProto:
    """A row that is expanded to one per sample, and joined to the features."""
    return after(
        node("Shape", "honest", "sizes"),
        node("Expand", "target sizes", "rows"),
        node("Add", "honest rows", "scores"),
    )


def reshaped_by_count() -> onnx.ModelProto:
    """A Reshape whose target is computed from the batch."""
    return after(
        *COUNTED,
        node("Unsqueeze", "count here", "batch"),
        node("Concat", "batch classes", "sizes", axis=0),
        node("Reshape", "honest sizes", "scores"),
        classes=np.array([CLASSES]),
    )


def divided_by_side() -> onnx.ModelProto:
    """A mean by hand: a sum divided by sizes that are not the batch."""
    return after(
        node("Shape", "honest", "sizes"),
        node("Gather", "sizes one", "classes"),
        node("Cast", "classes", "divisor", to=TensorProto.FLOAT),
        node("Div", "honest divisor", "scores"),
    )


COUNTING: list[Callable[[], onnx.ModelProto]] = [
    *(equal_one, relu_of_the_count, by_size, branch_on_count, counted_ones, counted_thousands),
    *(equal_three, polynomial, read_from_a_table),
    *(cut_pixels, moved_window, joined_samples, first_of_the_batch),
]
SIZED: list[Callable[[], onnx.ModelProto]] = [class_token, reshaped_by_count, divided_by_side]
