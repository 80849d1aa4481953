"""A tensor that holds fewer or more numbers than its shape says is refused by its name."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from stages.errors import ModelRefused
from stages.onnx_file.whole_tensors import require_whole

UNSTORED = ("UNDEFINED", "FLOAT6E2M3", "FLOAT6E3M2")
"""Types of which onnx itself makes no tensor."""
TYPES = [name for name in TensorProto.DataType.keys() if name not in UNSTORED]  # noqa: SIM118
WAYS = [(name, raw) for name in TYPES for raw in (True, False) if not (raw and name == "STRING")]


def tensor(name: str, raw: bool) -> TensorProto:
    """Five by four ones of a type."""
    kind = TensorProto.DataType.Value(name)
    if name == "STRING":
        return helper.make_tensor("w", kind, (5, 4), ["one"] * 20)
    ones = np.ones((5, 4), helper.tensor_dtype_to_np_dtype(kind))
    if raw:
        return numpy_helper.from_array(ones, "w")
    return helper.make_tensor("w", kind, (5, 4), ones.ravel())


@pytest.mark.parametrize(("name", "raw"), WAYS)
def test_whole_tensors_pass_and_others_do_not(name: str, raw: bool) -> None:
    """However numbers are stored, and of whatever type they are."""
    whole = tensor(name, raw)
    require_whole([whole])

    for shape in ((5, 5), (4, 4), (5,), ()):
        del whole.dims[:]
        whole.dims.extend(shape)
        with pytest.raises(ModelRefused, match="tensor `w` does not hold the"):
            require_whole([whole])


def test_an_empty_tensor_is_whole() -> None:
    """It holds what it says: nothing."""
    require_whole([numpy_helper.from_array(np.zeros((0, 3), np.float32), "w")])
