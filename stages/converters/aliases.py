"""Operators whose newer versions mean the same for floats as the version onnx2torch knows."""

from __future__ import annotations

from stages.converters import registration

SAME = (
    *("Abs", "Acos", "And", "ArgMax", "ArgMin", "Asin", "Atan", "Concat"),
    *("ConstantOfShape", "ConvTranspose", "Cos", "Elu", "Equal", "Erf"),
    *("Exp", "EyeLike", "Flatten", "Gather", "GatherElements", "Gemm", "Greater"),
    *("GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "IsInf"),
    *("IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Neg"),
    *("Not", "Or", "PRelu", "Pow", "Range", "Reciprocal", "Relu", "ScatterND", "Selu"),
    *("Shape", "Sigmoid", "Sin", "Softplus", "Softsign", "Sqrt", "Squeeze", "Sum"),
    *("Tan", "Tanh", "Tile", "Transpose", "Unsqueeze", "Xor"),
)
"""An operator whose inputs or attributes changed meaning must not be listed."""


def register() -> None:
    """Fills the gaps between the versions that have a converter."""
    for operator in SAME:
        registration.alias(operator)
