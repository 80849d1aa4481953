"""Libraries that take seconds to import, loaded when something of them is first used.

Settings stand in the files of the searches they are for. They are read, and wrong ones refused,
before anything slow is loaded; so these files, and what they import, take torch from here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

__all__ = ["adam", "functional", "fx", "optimize", "torch", "without_gradients"]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Later(ModuleType):
    """A module by its name, imported when an attribute of it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        """The attribute of the module itself, kept here for the next time."""
        value = getattr(import_module(self.__name__), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import torch
    from scipy import optimize
    from torch import fx
    from torch.nn import functional
    from torch.optim import adam
else:
    torch, fx, functional, optimize, adam = map(
        Later, ("torch", "torch.fx", "torch.nn.functional", "scipy.optimize", "torch.optim.adam")
    )


def without_gradients(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The function under `torch.no_grad`, which as a decorator would load torch at once."""

    @wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with torch.no_grad():
            return function(*args, **kwargs)

    return call
