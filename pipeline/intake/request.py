"""What the child that reads an untrusted file is asked to do, and what comes back, as JSON and npz.

Neither side unpickles anything. The work is named by its module, so it cannot be a function of
`__main__`: the child runs no script of the user's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.cache import entry

CODE = "code"
"""The key under which the last line of a connection says how the child ended."""

OUTPUT = "output.txt"
"""The file in the child's own folder that has what it printed."""

Work = Callable[..., object]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Some work, the folder `asked` with its arguments, and `own`, the only one for its results.

    `reads` and `writes` are places it may use besides, and relative paths begin at `start`;
    `seconds` and `memory_mb` are its limits, `without` the layers of the cage that are turned off.
    """

    work: str
    asked: str
    own: str
    start: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    seconds: float
    memory_mb: int
    without: tuple[str, ...]

    def as_line(self) -> bytes:
        """The request as a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"


def read_request(line: bytes) -> Request:
    """The request in a line of JSON, which this program wrote."""
    fields = json.loads(line)
    for name in ("reads", "writes", "without"):
        fields[name] = tuple(fields[name])
    return Request(**fields)


def name_of(work: Work) -> str:
    """The name by which another process finds a function.

    Raises:
        ValueError: it is no function of a module that can be imported.
    """
    module, name = work.__module__, work.__qualname__
    if module == "__main__" or not name.isidentifier():
        raise ValueError(f"`{name}` of `{module}` cannot be run elsewhere: put it into a module")
    return f"{module}:{name}"


def find(name: str) -> Work:
    """The function of a name."""
    module, _, function = name.partition(":")
    work: Work = getattr(import_module(module), function)
    return work


def write_arguments(
    work: Work, args: tuple[object, ...], kwargs: dict[str, object], folder: Path
) -> None:
    """Writes the arguments of a call into a folder, as the types of its parameters say."""
    bound = signature(work).bind(*args, **kwargs)
    bound.apply_defaults()
    values = tuple(bound.arguments.values())
    entry.write(folder, values, _parameters(work), {})


def read_arguments(work: Work, folder: Path) -> tuple[tuple[object, ...], dict[str, object]]:
    """The arguments that were written into the folder: by position and by name."""
    names = list(signature(work).parameters)
    values = entry.read(folder, _parameters(work))
    arguments = dict(zip(names, values, strict=True))
    bound = signature(work).bind_partial()
    bound.arguments.update(arguments)
    return bound.args, bound.kwargs


def result_type(work: Work) -> Any:
    """The type that a function promises to return."""
    return get_type_hints(work)["return"]


def paths_in(value: object) -> tuple[Path, ...]:
    """The paths among arguments, and in their fields."""
    if isinstance(value, Path):
        return (value,)
    if isinstance(value, tuple):
        return tuple(path for each in value for path in paths_in(each))
    if is_dataclass(value):
        return paths_in(tuple(vars(value).values()))
    return ()


def _parameters(work: Work) -> Any:
    """The type of a tuple of all arguments."""
    hints = get_type_hints(work)
    return tuple[tuple(hints[name] for name in signature(work).parameters)]  # type: ignore[misc]
