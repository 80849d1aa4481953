"""Cutting and running a twin's fx graph: a part of it, with some outputs edited."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from stages.later import fx, torch

Edit = Callable[["torch.Tensor"], "torch.Tensor"]


@cache
def _edited_run() -> Callable[[fx.GraphModule, Mapping[str, Edit]], fx.Interpreter]:
    """A run of a graph module that passes the outputs of the named nodes through a function each.

    The module itself is left untouched; without edits it returns the module's own outputs.
    """

    class EditedRun(fx.Interpreter):
        def __init__(self, module: fx.GraphModule, edits: Mapping[str, Edit]) -> None:
            super().__init__(module)
            self.edits = edits

        def run_node(self, n: fx.Node) -> object:
            value = super().run_node(n)
            edit = self.edits.get(n.name)
            return value if edit is None else edit(value)

    return EditedRun


def run(
    module: fx.GraphModule, *inputs: torch.Tensor, edits: Mapping[str, Edit] | None = None
) -> torch.Tensor:
    """The output of `module` on `inputs`, with the named nodes' outputs edited."""
    output: torch.Tensor = _edited_run()(module, edits or {}).run(*inputs)
    return output


def part(module: fx.GraphModule, inputs: Sequence[fx.Node], output: fx.Node) -> fx.GraphModule:
    """The part of `module` that computes `output` from `inputs`, sharing its weights.

    Nodes keep their names, so edits meant for the whole fit the part.
    """
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    needed = _ancestors(output, stop=set(inputs))
    for node in module.graph.nodes:
        if node in needed and node not in copies:
            copies[node] = graph.node_copy(node, lambda used: copies[used])
    graph.output(copies[output])
    return fx.GraphModule(module, graph)


def output_of(module: fx.GraphModule) -> fx.Node:
    """The node whose value the module returns."""
    (returned,) = (node for node in module.graph.nodes if node.op == "output")
    value: fx.Node = returned.all_input_nodes[0]
    return value


def node_named(module: fx.GraphModule, name: str) -> fx.Node:
    """The node of that name."""
    node: fx.Node = next(each for each in module.graph.nodes if each.name == name)
    return node


def shapes(module: fx.GraphModule, images: torch.Tensor) -> dict[fx.Node, tuple[int, ...]]:
    """The shape of every floating-point node output for a batch of images; others are absent."""
    recorded: dict[fx.Node, tuple[int, ...]] = {}

    class Record(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            value = super().run_node(n)
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                recorded[n] = tuple(value.shape)
            return value

    with torch.no_grad():
        Record(module).run(images)
    return recorded


def sizes(module: fx.GraphModule, images: torch.Tensor) -> list[int]:
    """How many numbers each floating-point node output holds for the first of the images."""
    return [math.prod(shape) for shape in shapes(module, images[:1]).values()]


def _ancestors(node: fx.Node, stop: set[fx.Node]) -> set[fx.Node]:
    reached, waiting = set[fx.Node](), [node]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting.extend([] if current in stop else current.all_input_nodes)
    return reached


def ancestors(node: fx.Node) -> set[fx.Node]:
    """The node itself and everything its value is computed from."""
    return _ancestors(node, stop=set())


def cut_after(module: fx.GraphModule, last: fx.Node) -> list[fx.Node]:
    """The values, computed no later than `last`, from which the rest of the graph follows."""
    nodes = [node for node in module.graph.nodes if node.op not in ("get_attr", "output")]
    done = set(nodes[: nodes.index(last) + 1])
    return [node for node in nodes if node in done and any(user not in done for user in node.users)]


def values(
    module: fx.GraphModule, images: torch.Tensor, nodes: Sequence[fx.Node]
) -> list[torch.Tensor]:
    """The values of `nodes` for a batch of images, without gradient."""
    recorded: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Edit:
        def edit(value: torch.Tensor) -> torch.Tensor:
            recorded[name] = value
            return value

        return edit

    with torch.no_grad():
        run(module, images, edits={node.name: keep(node.name) for node in nodes})
    return [recorded[node.name] for node in nodes]
