"""Turns untrusted JSON into dataclasses, strictly: one sentence per value that does not fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin

import cattrs
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.errors import AttributeValidationNote, BaseValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn

from stages.errors import ConfigError

Structured = TypeVar("Structured")
Hook = Callable[[Any, Any], Any]  # cattrs passes anything and takes anything


def structured(settings: object, kind: type[Structured]) -> Structured:
    """A dataclass of untrusted JSON, without any conversion of types.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of the wrong type or not finite.
    """
    try:
        return _strict_converter().structure(settings, kind)
    except BaseValidationError as error:
        raise ConfigError("; ".join(_sentences(error))) from error


class _UnfitError(ValueError):
    """A value that does not fit its key; the text continues a sentence that begins with the key."""


@cache
def _strict_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(int, _exactly("a whole number", int))
    converter.register_structure_hook(float, _exactly("a finite number", int, float))
    converter.register_structure_hook(bool, _exactly("true or false", bool))
    converter.register_structure_hook(str, _exactly("a text", str))
    converter.register_structure_hook_func(_is(Literal), _one_of)
    converter.register_structure_hook_factory(_is(tuple), lambda kind: _list(kind, converter))
    converter.register_structure_hook_factory(is_dataclass, lambda kind: _section(kind, converter))
    return converter


def _is(origin: object) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _exactly(meaning: str, *types: type) -> Hook:
    """Accepts only values of these very types: neither a bool nor a text is a number."""

    def structure(value: Any, kind: Any) -> Any:
        if type(value) not in types or (kind is float and not math.isfinite(value)):
            raise _UnfitError(f"is {value!r}, expected {meaning}")
        return kind(value)

    return structure


def _one_of(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise _UnfitError(f"is {value!r}, expected one of {', '.join(map(repr, get_args(kind)))}")
    return value


def _list(kind: Any, converter: cattrs.Converter) -> Hook:
    build: Hook = homogenous_tuple_structure_factory(kind, converter)

    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, list):
            raise _UnfitError(f"is {value!r}, expected a list such as [1, 2]")
        return build(value, kind)

    return structure


def _section(kind: type, converter: cattrs.Converter) -> Hook:
    build: Hook = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise _UnfitError(f"is {value!r}, expected a section of settings")
        return build(value, kind)

    return structure


def _sentences(error: BaseException, key: str = "") -> Iterator[str]:
    """One sentence per wrong setting in the tree of errors, each naming its full key."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            key = f"{key}.{note.name}" if key else note.name
    match error:
        case BaseExceptionGroup():
            for inner in error.exceptions:
                yield from _sentences(inner, key)
        case ForbiddenExtraKeysError():
            names = ", ".join(f"`{item.name}`" for item in fields(error.cl))
            unknown = ", ".join(f"`{name}`" for name in sorted(error.extra_fields))
            yield f"unknown setting {unknown}{f' in `{key}`' if key else ''}; known are {names}"
        case KeyError():
            yield f"setting `{key}` is missing"
        case _UnfitError():
            yield f"setting `{key}` {error}"
        case _:
            yield f"`{key}`: {error}" if key else str(error)
