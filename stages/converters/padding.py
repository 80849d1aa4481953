"""ONNX padding of the spatial axes in front of a convolution or pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from onnx2torch.onnx_node import OnnxNode
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Window:
    """The attributes of a sliding window, one entry per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    auto: str

    @property
    def is_symmetric(self) -> bool:
        """Whether torch's own padding argument can express it."""
        return self.auto not in ("SAME_UPPER", "SAME_LOWER") and self.begin == self.end

    def amounts(self, sizes: Sequence[int]) -> list[int]:
        """Padding for spatial axes of these sizes in torch's order: last axis first."""
        pairs = zip(self.begin, self.end, strict=True)
        if self.auto in ("SAME_UPPER", "SAME_LOWER"):
            pairs = zip(*self._same(sizes), strict=True)
        return list(chain.from_iterable(reversed(list(pairs))))

    def _same(self, sizes: Sequence[int]) -> tuple[list[int], list[int]]:
        """Padding that makes the output ceil(size / stride) long, the odd element at one end."""
        axes = zip(sizes, self.kernel, self.stride, self.dilation, strict=True)
        totals = [max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n) for n, k, s, d in axes]
        small, large = [one // 2 for one in totals], [one - one // 2 for one in totals]
        return (small, large) if self.auto == "SAME_UPPER" else (large, small)

    def pad(self, images: torch.Tensor, value: float) -> torch.Tensor:
        """Images (N, C, *spatial) padded with the value."""
        return functional.pad(images, self.amounts(images.shape[2:]), value=value)


def window(node: OnnxNode, kernel: Sequence[int]) -> Window:
    """The node's window; `kernel` holds where the node states none."""
    attributes = node.attributes
    rank = len(kernel)
    auto = attributes.get("auto_pad", "NOTSET")
    pads = [0] * 2 * rank if auto == "VALID" else attributes.get("pads", [0] * 2 * rank)
    return Window(
        kernel=tuple(attributes.get("kernel_shape", kernel)),
        stride=tuple(attributes.get("strides", [1] * rank)),
        dilation=tuple(attributes.get("dilations", [1] * rank)),
        begin=tuple(pads[:rank]),
        end=tuple(pads[rank:]),
        auto=auto,
    )
