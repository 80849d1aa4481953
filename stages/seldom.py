"""onnx2torch's converters that need torchvision, imported when a model first has their operators.

torchvision takes a second to import, in every scan and in every child of one, and is needed for
operators of detectors alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx2torch.onnx_graph import OnnxGraph
    from onnx2torch.onnx_node import OnnxNode
    from onnx2torch.utils.common import OperationConverterResult

_OPERATORS = {
    "onnx2torch.node_converters.nms": (("NonMaxSuppression", 10), ("NonMaxSuppression", 11)),
    "onnx2torch.node_converters.roialign": (("RoiAlign", 10), ("RoiAlign", 16)),
}


class _Seldom(MetaPathFinder, Loader):
    """Finds modules of onnx2torch in its stead: empty ones, whose converters import the true ones
    when they are first called.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """An empty module for one whose operators are seldom."""
        del path, target
        return ModuleSpec(fullname, self) if fullname in _OPERATORS else None

    def exec_module(self, module: ModuleType) -> None:
        """Registers the converters that wait to be called."""
        from onnx2torch.node_converters.registry import add_converter  # noqa: PLC0415 (heavy)

        module.__dict__["__all__"] = []
        for operator, version in _OPERATORS[module.__name__]:
            add_converter(operator, version)(partial(self._convert, module.__name__, version))

    def _convert(
        self, name: str, version: int, node: OnnxNode, graph: OnnxGraph
    ) -> OperationConverterResult:
        """What onnx2torch's own converter gives, which takes this one's place."""
        from onnx2torch.node_converters import registry  # noqa: PLC0415 (heavy)

        if name in _OPERATORS:
            for operator, each in _OPERATORS.pop(name):
                del registry._CONVERTER_REGISTRY[registry.OperationDescription("", operator, each)]
            del sys.modules[name]
            import_module(name)
        return registry.get_converter(node.operation_type, version)(node, graph)


def install() -> None:
    """Lets onnx2torch do without torchvision when it is imported; once for all."""
    if not any(isinstance(each, _Seldom) for each in sys.meta_path):
        sys.meta_path.insert(0, _Seldom())
