"""Resize and Upsample, exact for nearest, linear and cubic interpolation at every rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OperationConverterResult
from torch import nn

from stages.converters.interpolation import Interpolation
from stages.converters.registration import constant, input_name, install, result

Places = torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis that is resized: its index, both sizes, the scale, and the region that is cut out."""

    index: int
    size: int
    target: int
    scale: float
    region: tuple[float, float]


def _half_pixel_symmetric(place: Places, axis: Axis) -> Places:
    shift = axis.size / 2 * (1 - axis.target / (axis.scale * axis.size))
    return shift + (place + 0.5) / axis.scale - 0.5


def _of_region(place: Places, axis: Axis) -> Places:
    start, end = axis.region
    last = axis.size - 1
    if axis.target == 1:
        return 0 * place + (start + end) / 2 * last
    return start * last + place * (end - start) * last / (axis.target - 1)


COORDINATES: dict[str, Callable[[Places, Axis], Places]] = {
    "half_pixel": lambda place, axis: (place + 0.5) / axis.scale - 0.5,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": lambda place, axis: (
        (place + 0.5) / axis.scale - 0.5 if axis.target > 1 else 0 * place
    ),
    "align_corners": lambda place, axis: place * (axis.size - 1) / max(axis.target - 1, 1),
    "asymmetric": lambda place, axis: place / axis.scale,
    "tf_half_pixel_for_nn": lambda place, axis: (place + 0.5) / axis.scale,
    "tf_crop_and_resize": _of_region,
}
"""Where in the input an output element lies."""
ROUNDINGS: dict[str, Callable[[Places, float], Places]] = {
    "round_prefer_floor": lambda place, _scale: (place - 0.5).ceil(),
    "round_prefer_ceil": lambda place, _scale: (place + 0.5).floor(),
    "floor": lambda place, _scale: place.floor(),
    "ceil": lambda place, _scale: place.ceil(),
    "outwards": lambda place, scale: place.ceil() if scale < 1 else place.floor(),
}
"""Which input element is the nearest; `outwards` is what onnxruntime does before version 11."""


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """Takes the element that a rounding leads to."""

    rounding: str

    def resized(self, x: torch.Tensor, axis: int, places: Places, scale: float) -> torch.Tensor:
        """X with its elements nearest to these places (T,) of the axis, which has length T."""
        nearest = ROUNDINGS[self.rounding](places, scale).clamp(0, x.shape[axis] - 1)
        return x.index_select(axis, nearest.long())


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Which axes are resized, all or the chosen ones, and how far: by scales or to sizes.

    If a scale is `shared`, all take the one that this function picks among those of the sizes. A
    region is the start and the end, in shares of the axis, of what is cut out.
    """

    axes: Sequence[int] | None
    numbers: Sequence[float] | None
    to_sizes: bool
    shared: Callable[[list[float]], float] | None
    regions: Sequence[tuple[float, float]] | None

    def along(self, shape: Sequence[int], numbers: torch.Tensor | None) -> list[Axis]:
        """The axes of a tensor of that shape, for the scales or sizes that are known or given."""
        chosen = list(self.numbers or ()) if numbers is None else numbers.tolist()
        indices = range(len(shape)) if self.axes is None else self.axes
        sizes = [shape[index] for index in indices]
        scales = self._scales(sizes, chosen)
        regions = self.regions or [(0.0, 1.0)] * len(sizes)
        return [
            Axis(index=index, size=size, target=target, scale=scale, region=region)
            for index, size, target, scale, region in zip(
                indices, sizes, self._targets(sizes, chosen, scales), scales, regions, strict=True
            )
        ]

    def _scales(self, sizes: list[int], chosen: list[float]) -> list[float]:
        if not self.to_sizes:
            return chosen
        scales = [number / size for number, size in zip(chosen, sizes, strict=True)]
        return scales if self.shared is None else [self.shared(scales)] * len(scales)

    def _targets(self, sizes: list[int], chosen: list[float], scales: list[float]) -> list[int]:
        """The new sizes; a product with a scale is one of float32, as in onnxruntime."""
        if self.to_sizes and self.shared is None:
            return [int(number) for number in chosen]
        rest = 0.5 if self.to_sizes else 0.0
        pairs = zip(scales, sizes, strict=True)
        return [int(np.float32(scale) * np.float32(size) + rest) for scale, size in pairs]


class Resize(nn.Module):
    """Resizes axis by axis; what lies outside of the input may get a value of its own."""

    def __init__(
        self,
        coordinates: str,
        method: Nearest | Interpolation,
        extent: Extent,
        outside: float | None,
    ) -> None:
        super().__init__()
        self._coordinates = COORDINATES[coordinates]
        self._method = method
        self._extent = extent
        self._outside = outside

    def forward(self, x: torch.Tensor, numbers: torch.Tensor | None = None) -> torch.Tensor:
        """X resized by the scales, or to the sizes, that are known or given."""
        axes = self._extent.along(x.shape, numbers)
        if any(axis.size != axis.target for axis in axes):
            for axis in axes:
                x = self._along(x, axis)
        return x

    def _along(self, x: torch.Tensor, axis: Axis) -> torch.Tensor:
        """X with the target's number of elements along the axis; at a scale of 1 it stays."""
        if axis.scale == 1:
            return x
        places = torch.arange(axis.target, dtype=torch.float32, device=x.device)
        places = self._coordinates(places, axis)
        resized = self._method.resized(x, axis.index, places, axis.scale)
        if self._outside is None:
            return resized
        outside = (places < 0) | (places > axis.size - 1)
        shape = [1] * x.dim()
        shape[axis.index] = -1
        return resized.masked_fill(outside.reshape(shape), self._outside)


def convert_resize(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    """A resize that reads constant scales or sizes once.

    Raises:
        NotImplementedError: it is of an unknown kind, computes the region that it cuts out, or
            takes the nearest of symmetric coordinates, where runtimes round ties differently.
    """
    attributes = node.attributes
    mode = attributes.get("mode", "nearest")
    coordinates = attributes.get("coordinate_transformation_mode", _first_coordinates(node))
    in_doubt = mode == "nearest" and coordinates == "half_pixel_symmetric"
    if mode not in ("nearest", "linear", "cubic") or coordinates not in COORDINATES or in_doubt:
        raise NotImplementedError(f"resizing of mode `{mode}` with coordinates `{coordinates}`")
    index, numbers = _numbers(node, graph)
    cuts = coordinates == "tf_crop_and_resize"
    extent = Extent(
        axes=attributes.get("axes"),
        numbers=numbers,
        to_sizes=index == 3,
        shared=_SHARED[attributes.get("keep_aspect_ratio_policy", "stretch")],
        regions=_regions(node, graph) if cuts else None,
    )
    outside = float(attributes.get("extrapolation_value", 0.0)) if cuts else None
    names = [node.input_values[0], *([] if numbers is not None else [node.input_values[index]])]
    return result(Resize(coordinates, _method(node, mode), extent, outside), node, names)


_SHARED: dict[str, Callable[[list[float]], float] | None] = {
    "stretch": None,
    "not_larger": min,
    "not_smaller": max,
}


def _method(node: OnnxNode, mode: str) -> Nearest | Interpolation:
    attributes = node.attributes
    if mode == "nearest":
        default = "round_prefer_floor" if len(node.input_values) > 2 else "outwards"
        return Nearest(rounding=attributes.get("nearest_mode", default))
    return Interpolation(
        cubic=float(attributes.get("cubic_coeff_a", -0.75)) if mode == "cubic" else None,
        smooths=bool(attributes.get("antialias", 0)),
        inside_only=bool(attributes.get("exclude_outside", 0)),
    )


def _regions(node: OnnxNode, graph: OnnxGraph) -> list[tuple[float, float]]:
    """Start and end of what is cut out of each axis.

    Raises:
        NotImplementedError: they are computed.
    """
    borders = constant(graph, node, 1)
    if borders is None:
        raise NotImplementedError("resizing of a region that is computed")
    starts, ends = borders.reshape(2, -1).tolist()
    return list(zip(starts, ends, strict=True))


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
