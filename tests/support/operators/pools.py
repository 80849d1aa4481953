"""Cases of pooling, with every padding and rounding that has a torch counterpart."""

from __future__ import annotations

from tests.support.operators.cases import (
    IMAGES,
    Case,
    at_versions,
    case,
    draw,
)


def padded() -> list[Case]:
    """Windows of every padding, which counts or not."""
    windows = [
        "kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]",
        "kernel_shape=[3, 3], strides=[2, 2], pads=[2, 2, 2, 2]",
        "kernel_shape=[3, 2], strides=[2, 3], pads=[0, 1, 1, 0]",
        'kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"',
        'kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER"',
        'kernel_shape=[2, 2], strides=[3, 3], auto_pad="VALID"',
        "kernel_shape=[2, 3]",
    ]
    return [
        case(f"y = {text}>(x)", IMAGES - 3, opset)
        for window in windows
        for opset in (8, 11, 22)
        for text in (f"MaxPool<{window}", f"AveragePool<{window}", _counting(window))
    ]


def _counting(window: str) -> str:
    return f"AveragePool<count_include_pad=1, {window}"


def rounded() -> list[Case]:
    """Windows whose last place is rounded up."""
    windows = [
        ("MaxPool", "kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]"),
        ("MaxPool", "kernel_shape=[3, 3], strides=[2, 2], pads=[2, 2, 2, 2]"),
        ("MaxPool", "kernel_shape=[3, 2], strides=[2, 3], pads=[0, 1, 1, 0]"),
        ("MaxPool", "kernel_shape=[2, 2], strides=[3, 3], pads=[0, 0, 1, 1]"),
        ("MaxPool", "kernel_shape=[2, 2], strides=[3, 3], pads=[1, 0, 0, 1]"),
        ("MaxPool", 'kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER"'),
        ("AveragePool", "kernel_shape=[3, 3], strides=[3, 2]"),
        ("AveragePool", "kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]"),
        ("AveragePool", "kernel_shape=[3, 3], strides=[3, 2], count_include_pad=1"),
    ]
    return [
        case(f"y = {operator}<ceil_mode=1, {window}>(x)", x, 19)
        for operator, window in windows
        for x in (IMAGES, draw(2, 3, 8, 10))
    ]


def of_every_rank() -> list[Case]:
    """Windows and whole maps of one to three axes."""
    windows = [
        case(f"y = {operator}<kernel_shape={[2] * rank}>(x)", draw(2, 3, *range(4, 4 + rank)))
        for operator in ("MaxPool", "AveragePool")
        for rank in (1, 2, 3)
    ]
    return [
        *windows,
        *(
            one
            for operator in ("GlobalAveragePool", "GlobalMaxPool")
            for rank in (1, 2, 3)
            for one in at_versions(operator, f"y = {operator}(x)", draw(2, 3, *range(4, 4 + rank)))
        ),
    ]


def dilated() -> list[Case]:
    """Windows with gaps."""
    window = "kernel_shape=[3, 3], dilations=[2, 2]"
    return [
        case(f"y = MaxPool<{window}>(x)"),
        case(f"y = MaxPool<{window}, pads=[2, 2, 2, 2]>(x)"),
        case(f"y = MaxPool<{window}, pads=[1, 0, 0, 1], strides=[2, 2]>(x)"),
    ]


CASES = [*padded(), *rounded(), *of_every_rank(), *dilated()]
