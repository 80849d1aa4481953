"""A stage: a plain typed function with a name and a version.

Calling it runs it. The version is part of the cache key of its results, so whoever changes what a
stage returns raises its version.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Generic, ParamSpec, TypeVar, get_type_hints

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Stage(Generic[Parameters, Result]):
    """A function that is one step of the scan, with the version of its algorithm."""

    def __init__(self, function: Callable[Parameters, Result], version: int) -> None:
        update_wrapper(self, function)
        self.function = function
        self.version = version
        self.name = function.__name__

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Runs the function; nothing is cached."""
        return self.function(*args, **kwargs)

    def __reduce__(self) -> str:
        """Pickles a stage as its name, by which another process finds the same stage."""
        return self.name

    @property
    def result_type(self) -> type[Result]:
        """The type the function promises to return."""
        kind: type[Result] = get_type_hints(self.function)["return"]
        return kind


def stage(*, version: int) -> Callable[[Callable[Parameters, Result]], Stage[Parameters, Result]]:
    """Marks a function as a stage of the given version."""

    def mark(function: Callable[Parameters, Result]) -> Stage[Parameters, Result]:
        return Stage(function, version)

    return mark
