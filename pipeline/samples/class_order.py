"""Gives every label of a source the number that the model gives its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.samples.collection import Collection
from stages.class_names import Names
from stages.errors import SamplesError

SHOWN = 5
HOW = "give the names in the order of the model's outputs by `--class-names FILE`, one a line"


@dataclass(frozen=True, kw_only=True)
class ClassOrder:
    """The number of each label, the names by number where they are known, and how it was found."""

    numbers: Mapping[str, int]
    names: Names
    origin: str


def order_of(
    collection: Collection, names: Names, classes: int | None, *, stated: bool = False
) -> ClassOrder:
    """The order of the classes: by the model's `names`, by numbers as labels, else by the source.

    `stated` names came from the user, and must have every label. `classes` is how many the model
    has, where that is known.

    Raises:
        SamplesError: the order cannot be known.
    """
    labels = tuple(collection.pictures)
    by_name = _by_name(labels, names)
    if by_name is not None:
        return ClassOrder(
            numbers=by_name, names=names, origin="by the names of the model's classes"
        )
    if stated:
        missing = [label for label in labels if label not in names]
        raise SamplesError(
            f"the class names lack {_listed(missing)}, which the {collection.kind} have; they name"
            f" {_listed(names)}"
        )
    if all(label.isdecimal() for label in labels):
        numbers = {label: int(label) for label in labels}
        return ClassOrder(numbers=numbers, names=names, origin="the labels are class numbers")
    order = collection.classes
    if classes is not None and len(order) != classes:
        raise SamplesError(
            f"the {collection.kind} have {len(order)} classes ({_listed(order)}), the model has"
            f" {classes}, so their order is not known; {HOW}"
        )
    numbers = {label: number for number, label in enumerate(order)}
    return ClassOrder(
        numbers=numbers, names=names or order, origin="in the order of the source, sorted by name"
    )


def _by_name(labels: tuple[str, ...], names: Names) -> dict[str, int] | None:
    """Numbers by name, small differences in spelling forgiven; None if one is missing or double."""
    for spell in (str, _plain):
        spelt = [spell(name) for name in names]
        found = {label: spelt.count(spell(label)) for label in labels}
        if names and all(count == 1 for count in found.values()):
            return {label: spelt.index(spell(label)) for label in labels}
    return None


def _plain(name: str) -> str:
    return "".join(each for each in name.casefold() if each.isalnum())


def _listed(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(f"`{name[:40]}`" for name in names[:SHOWN])
    return f"{shown} …" if len(names) > SHOWN else shown
