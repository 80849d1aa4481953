"""Which output of a file is judged, and which others are none of its own.

A file may give a label, probabilities and scores. What is made of the raw scores alone, and of
nothing else that depends on the input, is judged with them. Any other output, such as features or a
second head, could decide by weights that no search looks at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from onnx import ModelProto, ValueInfoProto

from stages.errors import ModelRefused
from stages.onnx_file.tensor_specs import describe
from stages.passes.cut_to_logits import score_outputs
from stages.passes.onnx_graph import (
    graph_inputs,
    inferred,
    producers,
    subgraphs,
    uses,
    values,
)
from stages.passes.score_tail import Types, tail_of
from stages.passes.tangles import WEIGHTED

SHAPES = frozenset(["Shape", "Size"])
RANKED = frozenset(["TopK"])


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The output of scores that is judged, what was looked through behind them, and the names of
    the outputs that are not made of them alone.
    """

    scores: ValueInfoProto
    peeled: tuple[str, ...]
    others: tuple[str, ...]


def judged_output(model: ModelProto, name: str = "") -> Judged:
    """The output of scores of that name, or the only one that all other outputs are made of.

    Raises:
        ModelRefused: there is no such output, or not one from which the others follow.
    """
    names = [one.name for one in model.graph.output]
    if len(set(names)) < len(names):
        raise ModelRefused(
            f"the model gives an output twice: {_shown(names)}; export each output once"
        )
    types = values(inferred(model).graph)
    found = [_judged(model, one, types) for one in score_outputs(model)]
    ranked = [one.scores.name for one in found if _is_ranked(model, one.scores)]
    if ranked and (not name or name in ranked):
        raise ModelRefused(
            f"the output {_shown(ranked)} gives the best few classes in their order, expected"
            " the scores of all classes; export the model without its TopK"
        )
    if name:
        named = next((one for one in found if one.scores.name == name), None)
        if named is None:
            raise ModelRefused(
                f"the output `{name}` gives no scores (batch, classes), found"
                f" {_shown(one.scores.name for one in found) or 'none that does'}"
            )
        return named
    whole = [one for one in found if not one.others]
    if whole:
        return whole[0]
    if not found:
        raise ModelRefused(
            "no classifier output: expected one float output of shape (batch, classes), found"
            f" {', '.join(map(describe, model.graph.output)) or 'none'}"
        )
    if len(found) > 1:
        raise ModelRefused(
            "more than one output of shape (batch, classes):"
            f" {_shown(one.scores.name for one in found)}, which do not follow from one another;"
            f" name the one to judge, such as `--output-name {found[0].scores.name}`"
        )
    raise ModelRefused(
        f"the output {_shown(found[0].others)} does not follow from the scores"
        f" `{found[0].scores.name}`, so a verdict on them would not hold for it; name what to judge"
        f" with `--output-name {found[0].scores.name}`, or export the scores alone"
    )


def _judged(model: ModelProto, scores: ValueInfoProto, types: Types) -> Judged:
    tail = tail_of(model, scores, types)
    others = (one.name for one in model.graph.output if one.name != scores.name)
    return Judged(
        scores=scores,
        peeled=tail.peeled,
        others=tuple(name for name in others if not _follows(model, name, tail.name)),
    )


def _follows(model: ModelProto, output: str, scores: str) -> bool:
    """Whether an output depends on the input through the scores alone, without another layer."""
    made_by = producers(model.graph)
    sources = {value.name for value in graph_inputs(model.graph)}
    own = made_by.get(scores)
    known = set(own.output) if own is not None and own.op_type == "LinearClassifier" else {scores}
    waiting, seen = [output], set(known)
    while waiting:
        name = waiting.pop()
        if name in sources:
            return False
        node = made_by.get(name)
        if name in seen or node is None or node.op_type in SHAPES:
            continue
        if node.op_type in WEIGHTED:
            return False
        seen.add(name)
        waiting += [*node.input, *(one for inner in subgraphs(node) for one in uses(inner))]
    return True


def _is_ranked(model: ModelProto, scores: ValueInfoProto) -> bool:
    """Whether the scores are those of the first few classes in their order, not of all classes."""
    node = producers(model.graph).get(scores.name)
    return node is not None and node.op_type in RANKED


def _shown(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
