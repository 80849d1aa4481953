"""Writes the functions of a model out, without letting a small file become a huge graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # has no types
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, inliner

from stages.errors import ModelRefused
from stages.onnx_file.imports import DOMAINS, nodes_at_any_depth

MOST_NODES = 100_000
MOST_BYTES = 2 * 1024**3
"""Limits of the graph that results; protobuf cannot serialise more bytes."""

_FAILURES = (DecodeError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
Name = tuple[str, str, str]
"""Domain, name and overload of a function."""


@dataclass(frozen=True)
class _Size:
    """What a body becomes once all it calls is written out."""

    nodes: int
    bytes: int


def inline_functions(model: ModelProto) -> None:
    """Replaces every call of a function by the function's nodes, and drops the functions.

    The size of the result is counted before anything is written out, as functions that call each
    other twice double with every level.

    Raises:
        ModelRefused: a function stands for a standard operator, is defined twice, calls itself,
            is written for another opset, or the result is too large.
    """
    if not model.functions:
        return
    functions = _by_name(model)
    _require_small(model, functions)
    try:
        model.CopyFrom(inliner.inline_local_functions(model))
    except _FAILURES as error:
        raise ModelRefused(
            f"the model's functions cannot be written out: {type(error).__name__}; export it with"
            " functions inlined"
        ) from error
    for node in nodes_at_any_depth(model.graph.node):
        if _name(node) in functions:
            raise ModelRefused(
                f"the function `{node.op_type}` cannot be written out, because it is made for"
                " another opset than the model; export it with functions inlined"
            )
    del model.functions[:]


def _by_name(model: ModelProto) -> dict[Name, FunctionProto]:
    functions: dict[Name, FunctionProto] = {}
    for one in model.functions:
        name = (one.domain, one.name, one.overload)
        if one.domain in DOMAINS:
            raise ModelRefused(
                f"the model defines a function `{one.name}` among the standard operators; export"
                " it with functions inlined"
            )
        if name in functions:
            raise ModelRefused(
                f"the model defines the function `{one.name}` twice; export it with functions"
                " inlined"
            )
        functions[name] = one
    return functions


def _require_small(model: ModelProto, functions: dict[Name, FunctionProto]) -> None:
    """Sizes are added up from the innermost functions outwards, each once."""
    calls = {name: _calls(one.node, functions) for name, one in functions.items()}
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        raise ModelRefused(
            f"the model's function `{error.args[1][0][1]}` calls itself; export it with functions"
            " inlined"
        ) from error
    sizes: dict[Name, _Size] = {}
    for name in order:
        sizes[name] = _size(functions[name], calls[name], sizes)
    whole = _size(model.graph, _calls(model.graph.node, functions), sizes)
    if whole.nodes > MOST_NODES or whole.bytes > MOST_BYTES:
        raise ModelRefused(
            f"the model's functions written out are {whole.nodes} nodes of {whole.bytes} bytes,"
            f" expected {MOST_NODES} and {MOST_BYTES} at most; only smaller models can be scanned"
        )


def _calls(nodes: Iterable[NodeProto], functions: dict[Name, FunctionProto]) -> Counter[Name]:
    """How often each function is called by nodes at any depth."""
    names = (_name(node) for node in nodes_at_any_depth(nodes))
    return Counter(name for name in names if name in functions)


def _size(
    body: FunctionProto | GraphProto, calls: Counter[Name], sizes: dict[Name, _Size]
) -> _Size:
    inner = [(times, sizes[name]) for name, times in calls.items()]
    return _Size(
        nodes=sum(1 for _ in nodes_at_any_depth(body.node))
        + sum(n * one.nodes for n, one in inner),
        bytes=body.ByteSize() + sum(n * one.bytes for n, one in inner),
    )


def _name(node: NodeProto) -> Name:
    return (node.domain, node.op_type, node.overload)
