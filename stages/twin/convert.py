"""Turns a normalised ONNX model into a differentiable torch module."""

from __future__ import annotations

from collections.abc import Iterator

import onnx2torch
import torch
from onnx import ModelProto, helper, shape_inference
from onnx2torch.node_converters.batch_norm import OnnxBatchNorm
from onnx2torch.node_converters.binary_math_operations import OnnxBinaryMathOperation
from onnx2torch.node_converters.gemm import OnnxGemm
from onnx2torch.node_converters.matmul import OnnxMatMul
from onnx2torch.node_converters.registry import get_converter
from onnx2torch.onnx_graph import OnnxGraph
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stages.converters import register
from stages.converters.convolution import FunctionalConv
from stages.converters.normalisation import (
    FunctionalBatchNorm,
    FunctionalGroupNorm,
    FunctionalLayerNorm,
    FunctionalRMSNorm,
)
from stages.converters.quantisation import Centred
from stages.errors import ConversionError
from stages.passes.onnx_graph import inferred, opset, producers
from stages.twin.advice import advice

_FAILURES = (
    NotImplementedError,
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
    shape_inference.InferenceError,
)
_LOW = -50.0  # exp(−50) vanishes beside one in float32

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, FunctionalConv)
_WEIGHTED = (nn.Linear, *_CONVOLUTIONS, OnnxGemm, OnnxMatMul, Centred)
_SCALES = (torch.add, torch.mul)
_NORMS = (
    FunctionalBatchNorm,
    FunctionalGroupNorm,
    FunctionalLayerNorm,
    FunctionalRMSNorm,
    OnnxBatchNorm,
)


def build_module(model: ModelProto) -> fx.GraphModule:
    """The torch twin of a model that `normalise` returned, in eval mode on the CPU.

    Weights that feed a convolution, a matrix product, the scale or bias of a normalisation, or an
    elementwise scale or shift behind those are Parameters; means, variances, masks and other
    constants are buffers. The module runs at any batch size if the model's batch is free. Each
    submodule carries the names of its ONNX values as `onnx_mapping`.

    Raises:
        ConversionError: an operator has no converter, or its converter refuses the node.
    """
    register()
    try:
        module: fx.GraphModule = onnx2torch.convert(_single_output(model), attach_onnx_mapping=True)
    except _FAILURES as error:
        raise _explained(model, error) from error
    _promote(module)
    module.eval()
    return module


def _single_output(model: ModelProto) -> ModelProto:
    """The model with an output that is all its node gives, as onnx2torch returns a whole Split.

    Where the node gives more, a copy of the model ends in an Identity after it.
    """
    outputs = [value.name for value in model.graph.output]
    node = producers(model.graph).get(outputs[0]) if len(outputs) == 1 else None
    if node is None or len(node.output) == 1:
        return model
    copy = ModelProto()
    copy.CopyFrom(model)
    alone = f"{outputs[0]}_alone"
    last = helper.make_node("Identity", outputs, [alone], name=f"Identity_{len(copy.graph.node)}_")
    copy.graph.node.append(last)
    copy.graph.output[0].name = alone
    return copy


def trainable_share(module: fx.GraphModule) -> float:
    """The share in [0, 1] of the float weights that are Parameters; 0 for a module without any.

    Running statistics, masks, what prepares the input ahead of all weights, and single numbers,
    such as an epsilon, are left out of both.
    """
    trainable = sum(one.numel() for one in module.parameters())
    aside = _no_weights(module)
    fixed = (one for one in _float_buffers(module) if id(one) not in aside)
    rest = sum(one.numel() for one in fixed if one.numel() > 1)
    return trainable / (trainable + rest) if trainable else 0.0


def _no_weights(module: fx.GraphModule) -> set[int]:
    """Identities of the buffers that are statistics or masks, or are read ahead of all weights."""
    behind = _behind_weights(module)
    nodes = [node for node in module.graph.nodes if node.op == "get_attr"]
    return {
        id(_attribute(module, node.target))
        for node in nodes
        if all(user not in behind or _is_aside(module, user, node) for user in node.users)
    }


def _is_aside(module: fx.GraphModule, user: fx.Node, constant: fx.Node) -> bool:
    """Whether the constant is a mean that is subtracted, a deviation to divide by, or a mask."""
    part = _submodule(module, user)
    if isinstance(part, _NORMS):
        return constant in user.args[3:5]
    if not isinstance(part, OnnxBinaryMathOperation):
        return False
    shifts = part.math_op_function not in _SCALES
    return shifts or _is_mask(module, user, _attribute(module, str(constant.target)))


def _float_buffers(module: nn.Module) -> Iterator[torch.Tensor]:
    for part in module.modules():
        if not isinstance(part, _BatchNorm):
            buffers = part.buffers(recurse=False)
            yield from (buffer for buffer in buffers if buffer.is_floating_point())


def _explained(model: ModelProto, cause: Exception) -> ConversionError:
    """The error with the first node whose converter fails, found by trying each one alone."""
    version = opset(model)
    try:
        graph = OnnxGraph(inferred(model).graph)
    except _FAILURES as error:
        return ConversionError(f"cannot read the graph at opset {version}: {_reason(error)}")
    for name, node in graph.nodes.items():
        try:
            get_converter(node.operation_type, version, node.domain)(node, graph)
        except _FAILURES as error:
            return ConversionError(
                f"cannot convert `{node.operation_type}` at opset {version} "
                f"(node `{name}`): {_reason(error)}; {advice(version, node)}"
            )
    return ConversionError(
        f"cannot convert the model at opset {version}: {_reason(cause)}; {advice(version)}"
    )


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, KeyError):
        return f"nothing is known of `{error.args[0]}`"
    if "Converter is not implemented" in text:
        return "there is no converter for it"
    return text.splitlines()[0] if text else type(error).__name__


def _promote(module: fx.GraphModule) -> None:
    """Turns the buffers that are weights into Parameters."""
    behind = _behind_weights(module)
    for node in module.graph.nodes:
        if node.op != "get_attr":
            continue
        buffer = _attribute(module, node.target)
        is_weight = any(_takes_weight(module, user, node, behind) for user in node.users)
        if is_weight and buffer.is_floating_point() and buffer.numel() > 1:
            owner, _, name = node.target.rpartition(".")
            part = module.get_submodule(owner)
            delattr(part, name)
            part.register_parameter(name, nn.Parameter(buffer))


def _behind_weights(module: fx.GraphModule) -> set[fx.Node]:
    """Nodes that depend on the model's input through a layer with weights."""
    behind: set[fx.Node] = set()
    for node in module.graph.nodes:
        if isinstance(_submodule(module, node), _WEIGHTED) or behind & set(node.all_input_nodes):
            behind.add(node)
    return behind


def _takes_weight(
    module: fx.GraphModule, user: fx.Node, constant: fx.Node, behind: set[fx.Node]
) -> bool:
    """Whether the user node reads the constant as a weight, scale or shift."""
    part = _submodule(module, user)
    if isinstance(part, _NORMS):
        return constant in user.args[1:3]
    if isinstance(part, OnnxBinaryMathOperation):
        value = _attribute(module, str(constant.target))
        scales = part.math_op_function in _SCALES and user in behind
        return scales and not _is_mask(module, user, value)
    return isinstance(part, _WEIGHTED)


def _is_mask(module: fx.GraphModule, user: fx.Node, value: torch.Tensor) -> bool:
    """Whether the constant only switches off what a softmax would see.

    It consists of zeros and numbers so low that a softmax turns them into zeros; zeros alone count
    if the softmax comes next.
    """
    low = value <= _LOW
    plain = bool((low | (value == 0)).all())
    return plain and (bool(low.any()) or _feeds_softmax(module, user))


def _feeds_softmax(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the node's value goes into a softmax, as that of an attention mask does."""
    names = (type(_submodule(module, user)).__name__ for user in node.users)
    return any("Softmax" in name for name in names)


def _submodule(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None


def _attribute(module: fx.GraphModule, target: str) -> torch.Tensor:
    owner, _, name = target.rpartition(".")
    value: torch.Tensor = getattr(module.get_submodule(owner), name)
    return value
