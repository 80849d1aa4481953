"""Options of a command as the fields of one frozen dataclass.

A field's annotation says everything once, `samples: Annotated[str, option("--samples", ...)]`: its
type for the code, and name, help and default for the command line. A field whose type is itself
such a dataclass is a group of options. `taking` calls a command with one object of its class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import wraps
from typing import Any, TypeGuard, TypeVar, get_args, get_type_hints

import click

Options = TypeVar("Options")
Command = Callable[..., None]


class GivenOption(click.Option):
    """An option for which the empty string means "not given", as MLproject passes it."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, Any]:
        """Drops empty strings before the default is looked up."""
        value = opts.get(self.name or "")
        if self.multiple and value:
            value = [each for each in value if each]
        if not value:
            opts = {key: each for key, each in opts.items() if key != self.name}
        else:
            opts = {**opts, self.name or "": value}
        return super().consume_value(ctx, opts)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of click, but for its name, which is that of the field it annotates."""

    decorator: Callable[..., Callable[[Command], Command]]
    spellings: tuple[str, ...] = ()
    attributes: Mapping[str, Any]

    def put_on(self, command: Command, name: str) -> Command:
        """The command with this parameter in front of those it has."""
        return self.decorator(*self.spellings, name, **self.attributes)(command)


def option(*spellings: str, cls: type[click.Option] = GivenOption, **attributes: Any) -> Parameter:
    """An option, with click's own attributes; empty means "not given" unless `cls` is another."""
    return Parameter(
        decorator=click.option, spellings=spellings, attributes={"cls": cls, **attributes}
    )


def flag(*spellings: str, help: str) -> Parameter:  # noqa: A002 (click's own word)
    """An option without a value: True where it is given."""
    return option(*spellings, cls=click.Option, is_flag=True, help=help)


def argument(**attributes: Any) -> Parameter:
    """A positional argument, with click's own attributes."""
    return Parameter(decorator=click.argument, attributes=attributes)


def taking(kind: type[Options]) -> Callable[[Callable[[Options], None]], Command]:
    """Puts the options of a dataclass on a command, which is called with one object of it.

    `--help` lists them in the order of the fields.
    """

    def decorate(command: Callable[[Options], None]) -> Command:
        @wraps(command)
        def call(**values: Any) -> None:
            command(_filled(kind, values))

        decorated: Command = call
        for name, parameter in reversed(list(_parameters(kind))):
            decorated = parameter.put_on(decorated, name)
        return decorated

    return decorate


def _parameters(kind: type) -> Iterator[tuple[str, Parameter]]:
    """Every field's name and parameter, those of groups among them."""
    for name, annotation in get_type_hints(kind, include_extras=True).items():
        if _is_group(annotation):
            yield from _parameters(annotation)
        else:
            _, parameter = get_args(annotation)
            yield name, parameter


def _is_group(annotation: object) -> TypeGuard[type[Any]]:
    return isinstance(annotation, type) and is_dataclass(annotation)


def _filled(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """An object of the class with the values that click read."""
    types = get_type_hints(kind)
    return kind(
        **{
            name: _filled(each, values) if _is_group(each) else values[name]
            for name, each in types.items()
        }
    )
