"""Cases of operators on each element, alone or with others, at every version."""

from __future__ import annotations

import numpy as np

from stages.passes.known_opset import OLDEST_OPSET
from tests.support.operators.cases import (
    IMAGES,
    ROWS,
    Case,
    at_versions,
    case,
    draw,
    ints,
    real,
)

PLAIN = (
    *("Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "Identity"),
    *("LeakyRelu", "Mish", "Neg", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus"),
    *("Softsign", "Tan", "Tanh"),
)
"""Those that take any number and need none of their own."""


def alone() -> list[Case]:
    """Functions of one number."""
    found = [one for operator in PLAIN for one in at_versions(operator, f"y = {operator}(x)")]
    return [
        *found,
        *(
            one
            for operator in ("Log", "Reciprocal", "Sqrt")
            for one in at_versions(operator, f"y = {operator}(x)", np.abs(ROWS) + 0.5)
        ),
    ]


def pairs() -> list[Case]:
    """Functions of several numbers, and comparisons."""
    found = []
    for operator in ("Add", "Div", "Mul", "Pow", "Sub"):
        found += at_versions(operator, f"y = {operator}(x, w)", np.abs(ROWS) + 0.5, w=draw(5))
        apart = np.abs(draw(2, 3, 5)) + 0.5
        found.append(case(f"y = {operator}(w, x)", apart, w=np.abs(draw(3, 1)) + 0.2))
        whole = f"i = Cast<to=7>(x) y = {operator}(i, w)"
        found.append(case(whole, 9 * ROWS, w=ints(2, 3, 2, 1, 2)))
    for operator in ("Max", "Min", "Sum"):
        found += at_versions(operator, f"y = {operator}(x)")
        found += at_versions(operator, f"y = {operator}(x, w, v)", since=8, w=draw(5), v=draw(3, 1))
    for operator in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        since = 11 if operator == "Equal" else OLDEST_OPSET
        text = f"r = Relu(x) y = {operator}(r, w)"
        found += at_versions(operator, text, since=since, w=np.zeros(5, np.float32))
    return found


def logic_and_types() -> list[Case]:
    """Functions of truth values, places of the largest, and other types."""
    found = []
    logic = "r = Relu(x) c = Cast<to=9>(r) y ="
    for operator in ("And", "Or", "Xor"):
        found += at_versions(operator, f"{logic} {operator}(c, b)", b=draw(5) > 0)
    for operator in ("ArgMax", "ArgMin"):
        found += at_versions(operator, f"r = Relu(x) y = {operator}<axis=1>(r)")
        found.append(case(f"y = {operator}<axis=-1, keepdims=0>(x)", ROWS))
        found.append(case(f"r = Relu(x) y = {operator}<axis=1, select_last_index=1>(r)", ROWS))
    for kind in (1, 2, 3, 5, 6, 7, 9, 10, 11):
        x = np.abs(ROWS) if kind == 2 else ROWS
        found += at_versions("Cast", f"y = Cast<to={kind}>(x)", 3 * x)
    return [
        *found,
        *at_versions("Not", f"{logic} Not(c)"),
        case("y = CastLike(x, l)", 3 * ROWS, 15, l=ints(1)),
        case("y = CastLike(x, l)", 3 * ROWS, 19, l=np.array(True)),
        case("s = Shape(x) y = CastLike(s, x)", ROWS, 21),
    ]


def activations() -> list[Case]:
    """Activations with numbers of their own."""
    slopes = [
        one
        for slope in ((4, 1, 1), (1,), (9,), (7, 1))
        for one in at_versions("PRelu", "y = PRelu(x, s)", IMAGES, s=draw(*slope))
    ]
    return [
        *slopes,
        case("y = PRelu(x, late_s)", late_s=draw(4, 1, 1)),
        case("y = Elu<alpha=0.5>(x)", ROWS),
        case("y = HardSigmoid<alpha=0.4, beta=0.1>(x)", ROWS),
        case("y = LeakyRelu<alpha=0.3>(x)", ROWS),
        case("y = Softplus(x)", 30 * ROWS),
        case("y = Round(x)", np.array([[0.5, 1.5, 2.5, -0.5, -1.5]], np.float32)),
        *(case(f'y = Gelu<approximate="{form}">(x)', opset=20) for form in ("none", "tanh")),
        case("y = Gelu(x)", opset=20),
        *(case(f"y = Swish{form}(x)", opset=24) for form in ("", "<alpha=1.5>")),
    ]


def clips() -> list[Case]:
    """Bounds of every form, left out, computed, and of integers."""
    return [
        *at_versions("Clip", "y = Clip<min=0.0, max=6.0>(x)", 5 * ROWS, until=10),
        case("y = Clip<max=0.5>(x)", ROWS, 10),
        case("y = Clip(x, , h)", ROWS, h=real(0.3)),
        case("y = Clip(x, l, h)", ROWS, l=real(0.5), h=real(-0.5)),
        case("y = Clip(x, , late_h)", ROWS, late_h=real(0.3)),
        case("y = Clip(x, late_l)", ROWS, late_l=real(0.3)),
        case("y = Clip(x, l, late_h)", ROWS, l=real(-0.4), late_h=real(0.3)),
        case("i = Cast<to=7>(x) y = Clip(i, l, h)", 3 * ROWS, l=np.array(-1), h=np.array(2)),
        case("i = Cast<to=7>(x) y = Clip(i, l)", 3 * ROWS, l=np.array(0)),
        case("i = Cast<to=7>(x) y = Clip(i, l, h)", 9 * ROWS, l=np.array(0), h=np.array(6)),
    ]


def rare() -> list[Case]:
    """Activations and functions of a single number that few networks use."""
    small, large = np.tanh(ROWS) * np.float32(0.9), np.abs(ROWS) + 1.5
    found = [
        *(one for o in ("Sinh", "Cosh", "Asinh") for one in at_versions(o, f"y = {o}(x)", since=9)),
        *(one for o in ("Atan",) for one in at_versions(o, f"y = {o}(x)")),
        *(one for o in ("Asin", "Acos") for one in at_versions(o, f"y = {o}(x)", small)),
        *at_versions("Atanh", "y = Atanh(x)", small, since=9),
        *at_versions("Acosh", "y = Acosh(x)", large, since=9),
    ]
    odd = np.array([[np.nan, np.inf, -np.inf, 0.0, 1.5]], np.float32)
    return [
        *found,
        *at_versions("ThresholdedRelu", "y = ThresholdedRelu<alpha=0.3>(x)", since=10),
        *at_versions("Celu", "y = Celu<alpha=1.5>(x)", since=12),
        *at_versions("Shrink", "y = Shrink<lambd=0.4, bias=0.1>(x)", IMAGES, since=9),
        *at_versions("IsNaN", "y = IsNaN(x)", odd, since=9),
        *at_versions("IsInf", "y = IsInf(x)", odd, since=10),
        *at_versions("Mean", "y = Mean(x, w)", since=8, w=draw(5)),
        *at_versions("Mean", "y = Mean(x)"),
    ]


CASES = [*alone(), *pairs(), *logic_and_types(), *activations(), *clips(), *rare()]
