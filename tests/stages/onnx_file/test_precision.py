"""Laws of precision: what is computed in double inside another model is refused."""

from __future__ import annotations

import onnx
import pytest
from onnx import ModelProto

from stages.errors import ModelRefused
from stages.onnx_file.precision import require_one_precision


def net(text: str, kind: str = "float") -> ModelProto:
    """A graph of those nodes from `x` to `y`."""
    return onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        f"net ({kind}[batch, 4] x) => ({kind}[batch, 4] y) <double far = {{1e12}}> {{ {text} }}"
    )


def test_a_detour_through_double_is_refused_by_its_node() -> None:
    """The twin in float32 would lose what the file keeps there."""
    text = "d = Cast <to = 11> (x) s = Add(d, far) r = Sub(s, far) y = Cast <to = 1> (r)"

    with pytest.raises(ModelRefused, match=r"`Cast` \(node `d`\) computes in double"):
        require_one_precision(net(text))


@pytest.mark.parametrize(
    "model",
    [
        net("y = Relu(x)"),
        net("y = Relu(x)", "double"),
        net("h = Cast <to = 10> (x) y = Cast <to = 1> (h)"),
        net("d = Cast <to = 1> (far) y = Mul(x, d)"),
    ],
)
def test_one_precision_half_and_constants_are_accepted(model: ModelProto) -> None:
    """Half precision loses what the twin keeps, and constants do not depend on the input."""
    require_one_precision(model)
