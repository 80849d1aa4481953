"""The n-th changed file of a seed: bytes or graphs of the corpus, changed at random."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from google.protobuf.message import DecodeError, EncodeError
from onnx import ModelProto

from benchmarks.fuzz.insertions import add_function, nest, plant_bomb
from benchmarks.fuzz.nodes import (
    change_attribute,
    change_domain,
    change_operator,
    move_node,
    rewire,
    set_attribute,
)
from benchmarks.fuzz.values import (
    change_ends,
    change_tensor,
    change_type,
    change_versions,
    grow_tensor,
    rename,
)

CRAFTED = "crafted."
"""How the names of the tests' files begin."""

Change = Callable[[ModelProto, Random], None]

CHANGES: tuple[Change, ...] = (
    *(change_operator, change_domain, move_node, rewire, change_attribute, set_attribute),
    *(change_tensor, grow_tensor, change_type, rename, change_ends, change_versions),
    *(add_function, nest, plant_bomb, plant_bomb, plant_bomb),
    *(change_operator, rewire, change_attribute, set_attribute, set_attribute, grow_tensor),
)
"""Those whose files are often well-formed come more than once."""


def flip(content: bytes, random: Random) -> bytes:
    """Up to eight bits flipped, or bytes set to a border value, dropped or doubled."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        place, way = random.randrange(len(changed)), random.randrange(4)
        if way == 0:
            changed[place] ^= 1 << random.randrange(8)
        elif way == 1:
            changed[place] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif way == 2 and len(changed) > 1:
            del changed[place]
        else:
            changed.insert(place, changed[place])
    return bytes(changed)


def splice(content: bytes, other: bytes, random: Random) -> bytes:
    """The beginning of one file with the end of another; with none, the file is cut off."""
    return content[: random.randrange(1, len(content) + 1)] + other[random.randrange(len(other)) :]


def mutant(corpus: dict[str, bytes], seed: int, number: int) -> tuple[str, tuple[str, ...], bytes]:
    """The n-th file of a seed: what it was made of, by which changes, and its bytes."""
    random = Random(f"{seed}/{number}")  # noqa: S311 (no secret)
    share = CRAFTED if random.random() < 0.2 else ""
    name = random.choice([one for one in sorted(corpus) if one.startswith(share)])
    content, way = corpus[name], random.random()
    if way < 0.15:
        return name, ("flip",), flip(content, random)
    if way < 0.2:
        return name, ("cut",), content[: random.randrange(len(content))]
    if way < 0.25:
        return name, ("splice",), splice(content, corpus[random.choice(sorted(corpus))], random)
    chosen = random.choices(CHANGES, k=random.choice((1, 1, 1, 2, 3)))
    return name, tuple(one.__name__ for one in chosen), _changed(content, chosen, random)


def _changed(content: bytes, changes: list[Change], random: Random) -> bytes:
    """The model with these changes; what is no model, or none any more, as far as it came."""
    try:
        model = ModelProto.FromString(content)
        for change in changes:
            if model.graph.node:
                change(model, random)
        return bytes(model.SerializeToString())
    except (DecodeError, EncodeError, TypeError, ValueError):  # names that are no text
        return flip(content or b"\0", random)
