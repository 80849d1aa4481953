"""Laws of freeing the batch: per sample nothing changes, and what mixes samples is left alone.

Graphs are lines of ONNX text from `x` to `y`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper, numpy_helper, parser

from stages.passes import free_batch, normalise
from stages.passes.onnx_graph import shape_of

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph for images of one shape, batch first, with its constants."""

    text: str
    shape: tuple[int | str, ...]
    constants: dict[str, Array]

    def __str__(self) -> str:
        """The text, which names the test."""
        return f"{self.text} {self.shape}"

    def model(self) -> ModelProto:
        """The model at opset 17, with outputs of unstated shape."""
        header = '<ir_version: 8, opset_import: ["": 17]> g (float x) => (float y)'
        model = parser.parse_model(f"{header} {{ {self.text} }}")
        info = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, self.shape)
        model.graph.input[0].CopyFrom(info)
        model.graph.output[0].type.tensor_type.ClearField("shape")
        tensors = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        model.graph.initializer.extend(tensors)
        return model


def graph(text: str, *shape: int | str, **constants: Array) -> Graph:
    """The graph with those constants."""
    return Graph(text=text, shape=shape, constants=constants)


def ints(*numbers: int) -> Array:
    """A vector of int64."""
    return np.array(numbers, np.int64)


def draw(*shape: int) -> Array:
    """Standard normal float32 numbers."""
    return np.random.default_rng((3, *shape)).standard_normal(shape).astype(np.float32)


def run(model: ModelProto, images: Array) -> Array:
    """The model's output in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": images})[0])


def batches(model: ModelProto, images: Array, size: int) -> Array:
    """The outputs for the images in batches of the size the model was exported for."""
    chunks = [images[start : start + size] for start in range(0, len(images), size)]
    return np.concatenate([run(model, chunk) for chunk in chunks])


TOKEN = draw(1, 1, 3)
MATRIX = draw(12, 3)
LATE = "r = ReduceSum<keepdims=0>(x) c = Cast<to=7>(r) z = Sub(c, c) s = Add(z, n)"

FREED = [
    graph("r = Reshape(x, s) y = MatMul(r, w)", 1, 4, 3, s=ints(1, 12), w=MATRIX),
    graph("r = Reshape(x, s) y = MatMul(r, w)", 2, 4, 3, s=ints(2, 12), w=MATRIX),
    graph("r = Reshape(x, s) y = MatMul(r, w)", 2, 4, 3, s=ints(2, -1), w=MATRIX),
    graph("r = Reshape(x, s) y = MatMul(r, w)", 2, 4, 3, s=ints(-1, 12), w=MATRIX),
    graph("r = Reshape(x, s) y = MatMul(r, w)", 2, 4, 3, s=ints(0, 12), w=MATRIX),
    graph("y = Reshape<allowzero=1>(x, s)", 2, 4, 3, s=ints(2, 12)),
    graph(
        "r = Reshape(x, s) m = Mul(r, r) y = Reshape(m, t)", 2, 4, 3, s=ints(8, 3), t=ints(2, 12)
    ),
    graph("r = Reshape(x, s) m = Relu(r) y = Reshape(m, t)", 3, 4, 3, s=ints(36), t=ints(3, 4, 3)),
    graph(
        "t = Transpose<perm=[1, 0, 2]>(x) u = Reshape(t, v) b = Reshape(u, z) "
        "y = Transpose<perm=[1, 0, 2]>(b)",
        *(2, 4, 3),
        v=ints(8, 3),
        z=ints(4, 2, 3),
    ),
    graph("a = Expand(x, s) y = Relu(a)", 2, 4, 3, s=ints(2, 4, 3)),
    graph("a = Expand(x, s) y = Relu(a)", 2, 4, 1, s=ints(2, 4, 5)),
    graph("y = Concat<axis=1>(k, x)", 1, 4, 3, k=TOKEN),
    graph("y = Concat<axis=1>(k, x)", 2, 4, 3, k=np.repeat(TOKEN, 2, axis=0)),
    graph("y = Concat<axis=1>(x, k, k)", 3, 4, 3, k=np.repeat(TOKEN, 3, axis=0)),
    graph("t = Expand(k, s) y = Concat<axis=1>(t, x)", 2, 4, 3, k=TOKEN, s=ints(2, 1, 3)),
    graph("t = Expand(k, s) y = Concat<axis=1>(t, x)", 1, 4, 3, k=TOKEN, s=ints(1, 1, 3)),
    graph(
        "t = Expand(k, s) c = Concat<axis=1>(t, x) r = Reshape(c, z) y = MatMul(r, w)",
        2,
        3,
        3,
        k=TOKEN,
        s=ints(2, 1, 3),
        z=ints(2, 12),
        w=MATRIX,
    ),
    graph("y = Add(x, k)", 2, 4, 3, k=np.repeat(TOKEN, 2, axis=0)),
    graph("y = Mul(k, x)", 2, 4, 3, k=np.repeat(draw(1, 4, 3), 2, axis=0)),
    graph(
        "p = Greater(x, z) y = Where(p, k, x)",
        *(2, 4, 3),
        k=np.repeat(TOKEN, 2, axis=0),
        z=draw(1, 3),
    ),
    graph(
        "t = Transpose<perm=[1, 0, 2]>(x) a = Sub(t, k) y = Transpose<perm=[1, 0, 2]>(a)",
        *(2, 4, 3),
        k=np.repeat(TOKEN, 2, axis=1),
    ),
    graph("y = Relu(x)", 4, 5),
    graph("a = ReduceMean<axes=[1], keepdims=0>(x) y = Reshape(a, s)", 2, 4, 3, s=ints(2, 3, 1)),
    graph(
        "a, b = Split<axis=1>(x) c = Reshape(a, s) d = Reshape(b, s) y = Add(c, d)",
        2,
        4,
        3,
        s=ints(2, 6),
    ),
    graph(
        "free_batch_0 = Relu(x) y = Reshape(free_batch_0, free_batch_1)",
        2,
        4,
        3,
        free_batch_1=ints(2, 12),
    ),
]

LEFT_ALONE = [
    graph("y = Relu(x)", "batch", 4),
    graph("y = Relu(x)", 0, 4),
    graph("y = Reshape(x, s)", 2, 6, s=ints(3, 4)),
    graph("y = Reshape(x, s)", 2, 6, s=ints(1, 12)),
    graph("y = Transpose<perm=[1, 0]>(x)", 2, 6),
    graph("y = ReduceMean<axes=[0]>(x)", 2, 6),
    graph("y = ReduceSum<keepdims=0>(x)", 2, 6),
    graph("y = MatMul(w, x)", 2, 6, w=draw(2, 2)),
    graph("y = Concat<axis=0>(x, k)", 2, 6, k=draw(2, 6)),
    graph("y = Concat<axis=1>(x, k)", 2, 6, k=draw(2, 6)),
    graph("y = Concat<axis=0>(x, x)", 2, 6),
    graph("y = Add(x, k)", 2, 6, k=draw(2, 6)),
    graph(
        f"{LATE} y = Reshape(x, s)",
        2,
        6,
        n=ints(2, 6),
    ),
    graph("y = Expand(x, s)", 2, 6, s=ints(3, 2, 6)),
    graph("y = Reshape(x, s)", 2, 6, s=ints(5, 5)),
    graph("y = Mul(k, k)", 2, 6, k=draw(2, 6)),
    graph("z = NonZero(x) y = Cast<to=1>(z)", 2, 6),
]


@pytest.mark.parametrize("one", FREED, ids=str)
def test_a_freed_model_computes_the_same_per_sample(one: Graph) -> None:
    """At any batch size the freed model gives what the fixed one gives, batch by batch."""
    fixed, freed = one.model(), one.model()
    size = fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    images = draw(3 * size, *(int(length) for length in one.shape[1:]))

    free_batch.apply(freed)

    onnx.checker.check_model(freed)
    assert (shape_of(freed.graph.input[0]) or (0,))[0] is None
    assert (shape_of(freed.graph.output[0]) or (0,))[0] is None
    for count in (1, size, 3 * size):
        expected = batches(fixed, images, size)[:count]
        np.testing.assert_allclose(run(freed, images[:count]), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("one", FREED, ids=str)
def test_freeing_again_changes_nothing(one: Graph) -> None:
    """A freed model has no fixed batch left to free."""
    model = one.model()
    free_batch.apply(model)
    once = model.SerializeToString(deterministic=True)

    free_batch.apply(model)

    assert model.SerializeToString(deterministic=True) == once


@pytest.mark.parametrize("one", LEFT_ALONE, ids=str)
def test_what_cannot_be_freed_is_left_alone(one: Graph) -> None:
    """A model whose samples meet, or whose batch is free or unknown, stays to the byte."""
    model = one.model()
    before = model.SerializeToString(deterministic=True)

    free_batch.apply(model)

    assert model.SerializeToString(deterministic=True) == before


def _with_second_input(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, (2, 6)))


def _with_second_output(model: ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (2, 6)))


def _without_input_shape(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


def _without_rank(model: ModelProto) -> None:
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ()))


def _with_old_free_size(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1


@pytest.mark.parametrize(
    "change",
    [
        _with_second_input,
        _with_second_output,
        _without_input_shape,
        _without_rank,
        _with_old_free_size,
    ],
)
def test_other_signatures_are_left_alone(change: Any) -> None:
    """Only one input with a fixed batch and one output can be freed."""
    model = graph("y = Relu(x)", 2, 6).model()
    change(model)
    before = model.SerializeToString(deterministic=True)

    free_batch.apply(model)

    assert model.SerializeToString(deterministic=True) == before


def test_a_weight_that_differs_per_sample_keeps_the_batch() -> None:
    """A concatenated constant is repeated only if it is the same for each sample."""
    alike, other = np.repeat(TOKEN, 2, axis=0), draw(2, 1, 3)
    text = "y = Concat<axis=1>(k, x)"
    found = []
    for token in (alike, other):
        model = graph(text, 2, 4, 3, k=token).model()
        free_batch.apply(model)
        found.append((shape_of(model.graph.input[0]) or (0,))[0])

    assert found == [None, 2]


def test_shapes_between_are_forgotten() -> None:
    """Stated shapes that hold the old batch do not survive beside the free one."""
    model = graph("r = Relu(x) y = Reshape(r, s)", 2, 4, 3, s=ints(2, 12)).model()
    info = helper.make_tensor_value_info("r", onnx.TensorProto.FLOAT, (2, 4, 3))
    model.graph.value_info.append(info)

    free_batch.apply(model)

    assert list(model.graph.value_info) == []


def test_an_input_with_a_default_is_no_input() -> None:
    """An old file lists its weights as inputs too; the batch is freed all the same."""
    one = graph("r = Reshape(x, s) y = MatMul(r, w)", 2, 4, 3, s=ints(2, 12), w=MATRIX)
    model = one.model()
    info = helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, MATRIX.shape)
    model.graph.input.append(info)

    free_batch.apply(model)

    assert (shape_of(model.graph.input[0]) or (0,))[0] is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 4),
    sizes=st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=3),
    merge=st.booleans(),
    back=st.booleans(),
)
def test_reshapes_within_a_sample_are_always_freed(
    batch: int, sizes: list[int], merge: bool, back: bool
) -> None:
    """Reshaping within a sample, or merging an axis into the batch and back, can be freed."""
    first = [batch * sizes[0], *sizes[1:]] if merge else [batch, int(np.prod(sizes))]
    last = [batch, *sizes] if back else [batch, -1]
    text = "r = Reshape(x, s) m = Add(r, r) y = Reshape(m, t)"
    one = graph(text, batch, *sizes, s=ints(*first), t=ints(*last))
    fixed, images = one.model(), draw(2 * batch, *sizes)

    freed = normalise(fixed)

    found = run(freed, images)
    np.testing.assert_array_equal(found.ravel(), batches(fixed, images, batch).ravel())
    np.testing.assert_array_equal(run(freed, images[:1]), found[:1])
