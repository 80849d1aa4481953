"""The names of a model's classes, as model files and lists state them.

They come from whoever made the file, so what cannot be shown or is too much is taken for no names.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping

KEYS = ("class_names", "classes", "names", "id2label", "labels")
"""Where exporters put the names in a file's metadata, in order of preference."""
LONGEST_TEXT = 2**20
LONGEST_NAME = 200
"""Characters of all names together, and of one."""
SHOWN = 40
"""Characters of a name that are shown where others stand beside it."""

Names = tuple[str, ...]


def stated_names(metadata: Mapping[str, object]) -> Names:
    """The names of classes 0, 1, … in a model's metadata; empty where there are none.

    >>> stated_names({"names": "{0: 'cat', 1: 'dog'}"})
    ('cat', 'dog')
    """
    for key in KEYS:
        names = names_of(metadata.get(key))
        if names:
            return names
    return ()


def names_of(value: object) -> Names:
    """The names in a list, a mapping by class number, or a text of either; empty if there are none.

    >>> names_of({"1": "dog", "0": "cat"}), names_of("cat, dog"), names_of({"1": "dog"})
    (('cat', 'dog'), ('cat', 'dog'), ())
    """
    if isinstance(value, str):
        value = _read(value)
    if isinstance(value, Mapping):
        value = _in_order(value)
    if not isinstance(value, list | tuple):
        return ()
    if not all(isinstance(each, str | int) for each in value):
        return ()
    names = tuple(str(each) for each in value)
    return names if all(_can_be_shown(name) for name in names) else ()


def name_of(number: int, names: Names) -> str:
    """The name of a class, cut where it is long; empty where it has none, or only its number.

    >>> name_of(1, ("cat", "dog")), name_of(7, ("cat", "dog")), name_of(0, ("0", "1"))
    ('dog', '', '')
    """
    name = names[number] if 0 <= number < len(names) else ""
    if name in (str(number), f"class {number}"):
        return ""
    return name if len(name) <= SHOWN else f"{name[: SHOWN - 1]}…"


def class_text(number: int, names: Names) -> str:
    """A class as it is spoken of, by its number and its name.

    >>> class_text(1, ("cat", "dog")), class_text(7, ())
    ('class 1 (dog)', 'class 7')
    """
    name = name_of(number, names)
    return f"class {number} ({name})" if name else f"class {number}"


def _read(text: str) -> object:
    """What a text of JSON or of a Python literal says, or a list of its lines or parts."""
    if len(text) > LONGEST_TEXT:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return found if isinstance(found, dict | list | tuple) else None
    parts = text.split("\n" if "\n" in text else ",")
    names = [part.strip() for part in parts if part.strip()]
    return names if len(names) > 1 else None


def _in_order(by_number: Mapping[object, object]) -> list[object] | None:
    """The values for 0, 1, … without a gap; the mapping may also lead from names to numbers."""
    if all(isinstance(each, int) for each in by_number.values()):
        by_number = {number: name for name, number in by_number.items()}
    names = {str(number): name for number, name in by_number.items()}
    ordered = [names.get(str(number)) for number in range(len(by_number))]
    return None if None in ordered else ordered


def _can_be_shown(name: str) -> bool:
    return name.isprintable() and 0 < len(name) <= LONGEST_NAME
