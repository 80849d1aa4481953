"""Resize and Upsample, exact for nearest and linear interpolation at every rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.registration import constant, input_name, install, result

Places = torch.Tensor
Coordinates = Callable[[Places, float, int, int], Places]


def _half_pixel_symmetric(place: Places, scale: float, size: int, target: int) -> Places:
    shift = size / 2 * (1 - target / (scale * size))
    return shift + (place + 0.5) / scale - 0.5


COORDINATES: dict[str, Coordinates] = {
    "half_pixel": lambda place, scale, _size, _target: (place + 0.5) / scale - 0.5,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": lambda place, scale, _size, target: (
        (place + 0.5) / scale - 0.5 if target > 1 else 0 * place
    ),
    "align_corners": lambda place, _scale, size, target: place * (size - 1) / max(target - 1, 1),
    "asymmetric": lambda place, scale, _size, _target: place / scale,
}
"""Where in the input an output element lies: from its place, the scale and both sizes."""
ROUNDINGS: dict[str, Callable[[Places, float], Places]] = {
    "round_prefer_floor": lambda place, _scale: (place - 0.5).ceil(),
    "round_prefer_ceil": lambda place, _scale: (place + 0.5).floor(),
    "floor": lambda place, _scale: place.floor(),
    "ceil": lambda place, _scale: place.ceil(),
    "outwards": lambda place, scale: place.ceil() if scale < 1 else place.floor(),
}
"""Which input element is the nearest; `outwards` is what onnxruntime does before version 11."""


class Resize(nn.Module):
    """Resizes chosen axes by scales, or to sizes; without a rounding it interpolates linearly."""

    def __init__(
        self,
        coordinates: str,
        rounding: str | None,
        axes: Sequence[int] | None,
        numbers: Sequence[float] | None,
        *,
        to_sizes: bool,
    ) -> None:
        super().__init__()
        self._coordinates = COORDINATES[coordinates]
        self._rounding = None if rounding is None else ROUNDINGS[rounding]
        self._axes = axes
        self._numbers = numbers
        self._to_sizes = to_sizes

    def forward(self, x: torch.Tensor, numbers: torch.Tensor | None = None) -> torch.Tensor:
        """X resized by the scales, or to the sizes, that are known or given."""
        chosen = self._numbers if numbers is None else numbers.tolist()
        axes = range(x.dim()) if self._axes is None else self._axes
        for axis, number in zip(axes, chosen or (), strict=True):
            size = x.shape[axis]
            target = int(number) if self._to_sizes else int(np.float32(number) * np.float32(size))
            scale = target / size if self._to_sizes else number
            if scale != 1:
                x = self._along(x, axis, target, scale)
        return x

    def _along(self, x: torch.Tensor, axis: int, target: int, scale: float) -> torch.Tensor:
        """X with `target` elements along the axis."""
        last = x.shape[axis] - 1
        places = torch.arange(target, dtype=torch.float32, device=x.device)
        places = self._coordinates(places, scale, last + 1, target)
        if self._rounding is not None:
            return x.index_select(axis, self._rounding(places, scale).clamp(0, last).long())
        places = places.clamp(0, last)
        left = places.floor().long()
        shape = [1] * x.dim()
        shape[axis] = -1
        share = (places - left).to(x.dtype).reshape(shape)
        right = x.index_select(axis, (left + 1).clamp(max=last))
        return x.index_select(axis, left) * (1 - share) + right * share


def convert_resize(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A resize that reads constant scales or sizes once.

    Raises:
        NotImplementedError: it is cubic, cuts a region out, smooths, keeps the aspect ratio, or
            takes the nearest of symmetric coordinates, where runtimes round ties differently.
    """
    attributes = node.attributes
    mode = attributes.get("mode", "nearest")
    coordinates = attributes.get("coordinate_transformation_mode", _first_coordinates(node))
    stretched = attributes.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    in_doubt = mode == "nearest" and coordinates == "half_pixel_symmetric"
    if mode not in ("nearest", "linear") or coordinates not in COORDINATES or in_doubt:
        raise NotImplementedError(f"resizing of mode `{mode}` with coordinates `{coordinates}`")
    if attributes.get("antialias", 0) or not stretched:
        raise NotImplementedError("resizing that smooths or keeps the aspect ratio")
    index, numbers = _numbers(node, graph)
    default = "round_prefer_floor" if len(node.input_values) > 2 else "outwards"
    module = Resize(
        coordinates,
        attributes.get("nearest_mode", default) if mode == "nearest" else None,
        attributes.get("axes"),
        numbers,
        to_sizes=index == 3,
    )
    names = [node.input_values[0], *([] if numbers is not None else [node.input_values[index]])]
    return result(module, node, names)


def _first_coordinates(node: OnnxNode) -> str:
    """The default; Upsample and the first Resize, without a region as input, have only one kind."""
    return "half_pixel" if len(node.input_values) > 2 else "asymmetric"


def _numbers(node: OnnxNode, graph: OnnxGraph) -> tuple[int, list[float] | None]:
    """Which input holds scales or sizes, and its numbers if they are known.

    An empty tensor counts as left out.
    """
    if "scales" in node.attributes:
        return 0, list(node.attributes["scales"])
    for index in (1,) if len(node.input_values) == 2 else (3, 2):
        tensor = constant(graph, node, index)
        if input_name(node, index) and (tensor is None or tensor.numel()):
            return index, None if tensor is None else tensor.tolist()
    raise NotImplementedError("resizing without scales and sizes")


def register() -> None:
    """Registers both for all versions."""
    install("Resize", convert_resize)
    install("Upsample", convert_resize, since=7)
