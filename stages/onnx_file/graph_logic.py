"""Backdoors in the graph itself: decisions about the input that no weight makes.

A ShadowLogic-style backdoor compares the input with something and lets the outcome choose the
scores; there are no weights to perturb. What gives it away is a *narrow decision*: a comparison, or
another step-shaped operator, on data that comes from the input, whose outcome is smaller than what
it then chooses or scales. Activations compare too, but element by element, and no sample's single
yes or no ever spreads over a whole tensor. A layer ends a decision if its weights mix many numbers;
a single weight, or a layer that reads the decision alone, does not.

Quantisation to the range of a tensor rounds a narrow value too: the zero point, which is added to
the rounded tensor and later subtracted again. That alone is a warning and not a trigger.
Source: the attack class is HiddenLayer's ShadowLogic; the rules are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, prod
from typing import Literal

from onnx import ModelProto, NodeProto

from stages.onnx_file.batch_logic import ABOUT_SHAPE, find_batch_logic
from stages.onnx_file.guards import Guards
from stages.onnx_file.layers import INTEGER, WEIGHTED, Layers
from stages.passes import take_known_branches
from stages.passes.onnx_graph import graph_inputs, inferred, shape_of, subgraphs, uses, values
from stages.types import GraphFinding, Severity

STEPS = frozenset(
    [
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf"),
        *("Sign", "Floor", "Ceil", "Round", "Mod", "BitShift"),
        *("ArgMax", "ArgMin", "Hardmax", "NonZero", "OneHot", "TopK"),
    ]
)
"""Operators whose output jumps, so that they can turn data into a decision."""
ROUNDINGS = frozenset(["Round", "Floor", "Ceil"])
"""Steps that quantisation is made of."""
EXTREMES = frozenset(["ReduceMin", "ReduceMax"])
"""Operators that give the range of a tensor."""
QUANTISED = frozenset(["QuantizeLinear", "DynamicQuantizeLinear"])
"""Operators that are steps too, but follow the weights in every quantised network."""
SHIFTS = frozenset(["Add", "Sub"])
"""Operators through which a zero point enters and leaves."""
ELEMENTWISE = frozenset(
    [
        *("Add", "Sub", "Mul", "Div", "Neg", "Abs", "Relu", "Clip", "Min", "Max", "Cast"),
        *("Round", "Floor", "Ceil", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Expand"),
    ]
)
"""Operators that quantisation uses on a tensor and on its range."""
TRACED = ELEMENTWISE | EXTREMES | {"DynamicQuantizeLinear"}
GATES = frozenset(["Where", "Mul", "Add", "Sub", "Div", "Min", "Max", "Pow", "And", "Or", "Xor"])
"""Operators through which a smaller value can choose or scale a larger one."""
SATURATING = frozenset(
    [
        *("Clip", "Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Selu", "Celu", "Min"),
        *("Max", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Softplus", "Softsign", "Erf"),
    ]
)
"""Operators that make a soft decision of a single number."""
BRANCHES = frozenset(["If", "Loop", "Scan"])
NARROW = 4
"""Elements per sample that a layer which does not mix leaves a decision."""
FEW = 16
"""Elements per sample from which a single one of them is few."""
RESHAPING = frozenset(["Expand", "Tile", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose"])
"""Operators that spread or rearrange a value without adding information."""


Kind = Literal["choice", "guard", "brightness", "factor"]


@dataclass(frozen=True)
class _Decision:
    """A step on input data, and the fewest elements per sample that its outcome ever had.

    `rounds` is the tensor whose range it rounds, if it is a rounding of nothing else; `width`
    bounds how many numbers per sample the value is made of; a `soft` decision saturates instead of
    jumping. Its `kind` says whether it may be anything, replaces a number that is nothing, asks how
    bright the whole image is, or is one of two positive constants by that.
    """

    node: str
    narrowest: int
    rounds: str | None = None
    width: float = inf
    soft: bool = False
    kind: Kind = "choice"


def find_graph_logic(model: ModelProto) -> tuple[GraphFinding, ...]:
    """What in the graph could be a trigger: decisions that gate larger values.

    What depends on the batch comes first. The others are in graph order, but zero points and what
    looks like them come last.
    """
    plain = ModelProto()
    plain.CopyFrom(model)
    take_known_branches.apply(plain)
    return (*find_batch_logic(plain), *_Tracer(inferred(plain)).findings())


class _Tracer:
    """One pass over the nodes: which values depend on the input, and on which narrow decisions."""

    def __init__(self, model: ModelProto) -> None:
        self.graph = model.graph
        source = graph_inputs(model.graph)
        shape = (shape_of(source[0]) if source else None) or (None,)
        self.batch = shape[0]
        self.types = values(model.graph)
        self.data = {value.name for value in source}
        self.raw = set(self.data)
        self.unmixed = set(self.data)
        self.images = set(self.data)
        self.layers = Layers(model.graph)
        self.guards = Guards(model.graph)
        self.decisions: dict[str, _Decision] = {}
        self.basis: dict[str, str] = {}
        self.shifted: dict[str, dict[str, GraphFinding]] = {}
        self.added: dict[str, set[str]] = {}

    def findings(self) -> Iterator[GraphFinding]:
        """Findings in the order of the nodes."""
        for node in self.graph.node:
            if node.op_type in ABOUT_SHAPE or not self._reads_data(node):
                continue
            self.data.update(node.output)
            if node.op_type in BRANCHES:
                yield _branch(node)
            self._trace(node)
            yield from self._gate(node)
            self._carry(node)
            self._carry_zero_point(node)
            if node.op_type not in WEIGHTED and self.raw & set(node.input):
                self.raw.update(node.output[:1])  # the others give the range, such as a scale
            if self.unmixed & set(node.input) and not self._mixes(node):
                self.unmixed.update(node.output[:1])
        yield from self._quantisation()
        yield from self._bypass()

    def _trace(self, node: NodeProto) -> None:
        """Records the one tensor of which a value is the range or an element-wise function."""
        read = {self.basis.get(name, name) for name in node.input if name in self.data}
        if node.op_type in TRACED and len(read) == 1:
            self.basis.update(dict.fromkeys(node.output, read.pop()))

    def _reads_data(self, node: NodeProto) -> bool:
        """Whether the node, or a graph inside it, reads what depends on the input."""
        inside = (name for inner in subgraphs(node) for name in uses(inner))
        return not self.data.isdisjoint([*node.input, *inside])

    def _gate(self, node: NodeProto) -> Iterator[GraphFinding]:
        """A finding where a narrow decision chooses or scales a larger value."""
        size = self._size(node.output[0])
        if node.op_type not in GATES or size is None:
            return
        for name in node.input:
            decision = self.decisions.get(name)
            if decision is None or decision.narrowest >= size:
                continue
            if decision.soft and not self._meets_features(node):
                continue
            if self._shifts(node, decision):
                by_operator = self.shifted.setdefault(decision.node, {})
                by_operator.setdefault(node.op_type, _gated(node, decision, size))
            else:
                severity = self._harmless(node, decision)
                found = _gated(node, decision, size)
                yield replace(found, severity=severity) if severity else found
            return

    def _shifts(self, node: NodeProto, decision: _Decision) -> bool:
        """Whether the node moves a tensor by a rounding of that tensor's own range."""
        own = {self.basis.get(name, name) for name in node.input if name in self.data}
        return node.op_type in SHIFTS and own == {decision.rounds}

    def _quantisation(self) -> Iterator[GraphFinding]:
        """What the shifts are: one added and subtracted again is a zero point, any other a gate."""
        for name, by_operator in self.shifted.items():
            operators = by_operator.keys() | self.added.get(name, set())
            for each in by_operator.values():
                yield replace(each, severity="warning") if operators == SHIFTS else each

    def _carry(self, node: NodeProto) -> None:
        """Passes decisions on to what a node computes from them; layers that mix end them."""
        size = self._size(node.output[0])
        weighted = node.op_type in WEIGHTED
        read = [self.decisions.get(name) for name in self._contents(node)]
        width = min(size or inf, sum(inf if each is None else each.width for each in read))
        carried = [
            replace(each, width=width)
            for each in read
            if each is not None
            and not (size and each.narrowest < size and self._shifts(node, each))
            and not (weighted and self._ends(node, each, width))
            and not (size and each.narrowest < size and self._keeps_image(node, each))
        ]
        if self.guards.scales(node, self.images):
            self.images.update(node.output)
        if size == 1 and not carried and self._saturates(node):
            carried.append(replace(self._step(node, size), soft=True))
        if self._is_step(node) and size is not None:
            carried.append(self._step(node, size))
        if not carried:
            return
        tightest = min(carried, key=lambda each: (each.narrowest, each.soft))
        narrowest = tightest.narrowest
        if size is not None and node.op_type not in RESHAPING:
            narrowest = min(narrowest, size)
        ranged = node.op_type == "DynamicQuantizeLinear"  # its scale carries no decision
        kind = self._kind(node, tightest)
        for name in node.output[:1] if ranged else node.output:
            self.decisions[name] = replace(tightest, narrowest=narrowest, kind=kind)

    def _carry_zero_point(self, node: NodeProto) -> None:
        """The zero point of a DynamicQuantizeLinear rounds the range, and has been added."""
        if node.op_type == "DynamicQuantizeLinear":
            name, zero_point = node.name or node.output[0], node.output[2]
            rounds = self.basis[zero_point]
            self.decisions[zero_point] = _Decision(node=name, narrowest=1, rounds=rounds, width=1)
            self.added[name] = {"Add"}

    def _kind(self, node: NodeProto, decision: _Decision) -> Kind:
        """What a decision is behind the node that makes it or carries it on."""
        if self.guards.replaces_nothing(node) and node.input[2] not in self.decisions:
            return "guard"
        if self.guards.compares_whole(node, self.images):
            return "brightness"
        if node.op_type in RESHAPING | {"Identity"}:
            return decision.kind
        factors = node.op_type == "Where" and all(map(self.guards.positive, node.input[1:]))
        return "factor" if factors and decision.kind == "brightness" else "choice"

    def _harmless(self, node: NodeProto, decision: _Decision) -> Severity | None:
        """How much less than a trigger it is: a guard of a divisor, or the scale of the image."""
        if self._keeps_image(node, decision):
            return "note" if decision.kind == "guard" else "warning"
        return None

    def _keeps_image(self, node: NodeProto, decision: _Decision) -> bool:
        """Whether the node gives the image, which no weight has met, at one scale or another."""
        if decision.kind == "guard":
            divides = node.op_type == "Div" and node.input[0] not in self.decisions
            return divides and node.input[0] in self.raw
        others = [name for name in node.input if name not in self.decisions]
        if decision.kind == "factor":
            scales = node.op_type == "Mul" or (node.op_type == "Div" and others == node.input[:1])
            return scales and len(others) == 1 and others[0] in self.images
        picks = decision.kind == "brightness" and node.op_type == "Where"
        return picks and self.images.issuperset(node.input[1:])

    def _contents(self, node: NodeProto) -> list[str]:
        """What a node reads of the input's data, without the zero points of its integers."""
        names = node.input[:2] if node.op_type in INTEGER else node.input
        return [name for name in names if name in self.data]

    def _ends(self, node: NodeProto, decision: _Decision, width: float) -> bool:
        """Whether a layer makes a feature of what it reads: more than a few numbers, or mixed."""
        return decision.narrowest > NARROW or (self.layers.mixes(node) and width > NARROW)

    def _mixes(self, node: NodeProto) -> bool:
        return node.op_type in WEIGHTED and self.layers.mixes(node)

    def _saturates(self, node: NodeProto) -> bool:
        """Whether the node softly decides by one number of a large input that no layer mixed."""
        source = self._size(graph_inputs(self.graph)[0].name)
        if node.op_type not in SATURATING or not self.unmixed & set(node.input):
            return False
        return source is not None and source >= FEW and not self.guards.limits(node)

    def _meets_features(self, node: NodeProto) -> bool:
        """Whether the node reads what weights made, besides a decision."""
        others = self.data.difference(self.raw, self.decisions)
        return not others.isdisjoint(node.input)

    def _is_step(self, node: NodeProto) -> bool:
        """Whether the node turns data into a decision."""
        around_weights = not self.raw.isdisjoint(node.input)
        return node.op_type in STEPS or (node.op_type in QUANTISED and around_weights)

    def _step(self, node: NodeProto, size: int) -> _Decision:
        """The decision a step makes."""
        rounds = self.basis.get(node.output[0]) if node.op_type in ROUNDINGS else None
        name = node.name or node.output[0]
        return _Decision(node=name, narrowest=size, rounds=rounds, width=size)

    def _bypass(self) -> Iterator[GraphFinding]:
        """A finding where the input reaches the scores around every weight."""
        for output in self.graph.output:
            if output.name in self.raw:
                yield GraphFinding(
                    rule="input-bypass",
                    severity="warning",
                    message=f"the output `{output.name}` depends on the input around every weight",
                    nodes=(output.name,),
                )

    def _size(self, name: str) -> int | None:
        """Elements per sample of a value; None if the graph does not say."""
        value = self.types.get(name)
        shape = shape_of(value) if value is not None else None
        if shape is None:
            return None
        inner = shape[1:] if shape and shape[0] in (None, self.batch) else shape
        return None if None in inner else prod(size for size in inner if size is not None)


def _gated(node: NodeProto, decision: _Decision, size: int) -> GraphFinding:
    single = decision.narrowest == 1
    return GraphFinding(
        rule="decision-gates-data",
        severity="blocking" if single else "warning",
        message=(
            f"`{node.op_type}` lets a decision on the input with {decision.narrowest} elements per"
            f" sample, made at `{decision.node}`, choose or scale {size} elements"
        ),
        nodes=(decision.node, node.name or node.output[0]),
    )


def _branch(node: NodeProto) -> GraphFinding:
    return GraphFinding(
        rule="branch-on-input",
        severity="blocking",
        message=f"`{node.op_type}` runs different computations depending on the input",
        nodes=(node.name or node.output[0],),
    )
