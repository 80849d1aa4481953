"""Operators whose newer versions mean the same for floats as the version onnx2torch knows."""

from __future__ import annotations

from stages.converters import registration

SAME = (
    *("Abs", "Add", "And", "ArgMax", "ArgMin", "Cast", "Ceil", "Concat", "ConstantOfShape"),
    *("ConvTranspose", "Cos", "Div", "Elu", "Equal", "Erf", "Exp", "Flatten", "Floor", "Gather"),
    *(
        "GatherElements",
        "Gemm",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "Identity",
    ),
    *(
        "InstanceNormalization",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Neg",
    ),
    *("Not", "Or", "PRelu", "Pow", "Range", "Reciprocal", "Relu", "Round", "ScatterND", "Selu"),
    *("Shape", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Squeeze", "Sub"),
    *("Sum", "Tan", "Tanh", "Tile", "Transpose", "Unsqueeze", "Where", "Xor"),
)
"""An operator whose inputs or attributes changed meaning must not be listed."""


def register() -> None:
    """Fills the gaps between the versions that have a converter."""
    for operator in SAME:
        registration.alias(operator)
