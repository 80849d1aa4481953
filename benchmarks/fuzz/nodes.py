"""Changes of nodes: their operators, places, links and attributes."""

from __future__ import annotations

from random import Random

import onnx
from onnx import AttributeProto, ModelProto, NodeProto, helper

from benchmarks.fuzz.absurd import DOMAINS, FLOATS, INTEGERS


def any_node(model: ModelProto, random: Random) -> NodeProto:
    """Any node; rarely one of a subgraph."""
    nodes = list(model.graph.node)
    nodes += [
        node
        for one in nodes
        for attribute in one.attribute
        for graph in (attribute.g, *attribute.graphs)
        for node in graph.node
    ]
    chosen: NodeProto = random.choice(nodes)
    return chosen


def value_names(model: ModelProto) -> list[str]:
    graph = model.graph
    written = [name for node in graph.node for name in node.output]
    return [*written, *(one.name for one in (*graph.input, *graph.initializer)), "", "nowhere"]


def change_operator(model: ModelProto, random: Random) -> None:
    """Another operator of the standard, or one of the same name elsewhere."""
    operators = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
    any_node(model, random).op_type = random.choice(operators)


def change_domain(model: ModelProto, random: Random) -> None:
    """Another domain, imported or not."""
    domain = random.choice(DOMAINS)
    any_node(model, random).domain = domain
    if random.random() < 0.5:
        model.opset_import.add(domain=domain, version=random.choice((1, 3, 99)))


def move_node(model: ModelProto, random: Random) -> None:
    """Two nodes change places, or one comes twice, or one goes."""
    nodes = list(model.graph.node)
    place, other = random.randrange(len(nodes)), random.randrange(len(nodes))
    way = random.randrange(3)
    if way == 0:
        nodes[place], nodes[other] = nodes[other], nodes[place]
    elif way == 1:
        nodes.insert(other, nodes[place])
    else:
        del nodes[place]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def rewire(model: ModelProto, random: Random) -> None:
    """A node reads or writes another value, perhaps its own, or one value more or less."""
    node = any_node(model, random)
    names = random.choice((node.input, node.input, node.output))
    way = random.randrange(3) if names else 2
    if way == 0:
        names[random.randrange(len(names))] = random.choice(value_names(model))
    elif way == 1:
        del names[random.randrange(len(names))]
    else:
        names.append(random.choice(value_names(model)))


def change_attribute(model: ModelProto, random: Random) -> None:
    """An attribute goes, comes twice, or says something absurd."""
    node = any_node(model, random)
    if not node.attribute:
        return set_attribute(model, random)
    place, way = random.randrange(len(node.attribute)), random.randrange(8)
    if way == 0:
        del node.attribute[place]
    elif way == 1:
        node.attribute.append(node.attribute[place])
    elif way == 2:
        node.attribute[place].type = random.randrange(16)
    else:
        _make_absurd(node.attribute[place], random)
    return None


def _make_absurd(attribute: AttributeProto, random: Random) -> None:
    """Changes the value and keeps the kind; what is no number or text stays."""
    if attribute.type == AttributeProto.INT:
        attribute.i = random.choice(INTEGERS)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = random.choice(FLOATS)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = random.choice((b"", b"\xff\xfe", b"NOTSET", b"VALID", b"cubic", b"ij,jk"))
    elif attribute.ints:
        way = random.randrange(3)
        if way == 0:
            attribute.ints.append(random.choice(INTEGERS))
        else:
            attribute.ints[random.randrange(len(attribute.ints))] = random.choice(INTEGERS)
    elif attribute.floats:
        attribute.floats[random.randrange(len(attribute.floats))] = random.choice(FLOATS)


def set_attribute(model: ModelProto, random: Random) -> None:
    """An attribute that the operator has by the standard, with an absurd value."""
    node = any_node(model, random)
    known = [one for one in onnx.defs.get_all_schemas() if one.name == node.op_type]
    if not known or not known[0].attributes:
        return
    name = random.choice(sorted(known[0].attributes))
    kind = int(known[0].attributes[name].type.value)
    absurd = {
        AttributeProto.INT: random.choice(INTEGERS),
        AttributeProto.FLOAT: random.choice(FLOATS),
        AttributeProto.STRING: random.choice(("", "NOTSET", "SAME_UPPER", "x" * 999)),
        AttributeProto.INTS: random.choices(INTEGERS, k=random.randrange(1, 5)),
        AttributeProto.FLOATS: random.choices(FLOATS, k=random.randrange(1, 5)),
    }
    if kind in absurd:
        kept = [one for one in node.attribute if one.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, absurd[kind])])
