"""Which file exports which framework."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import cast

from stages.errors import ConfigError, ModelRefused
from stages.export.source import Exporter

MODULES = {
    "pytorch": "stages.export.pytorch",
    "keras": "stages.export.keras",
    "tensorflow": "stages.export.tensorflow",
    "sklearn": "stages.export.sklearn",
    "flax": "stages.export.flax",
    "paddle": "stages.export.paddle",
    "transformers": "stages.export.transformers",
}
_ROOTS = {
    "torch": "pytorch",
    "keras": "keras",
    "sklearn": "sklearn",
    "flax": "flax",
    "paddle": "paddle",
    "tensorflow": "tensorflow",
    "transformers": "transformers",
}
"""The framework of an object by the package of its class, or of the nearest class above it."""


def exporter_of(framework: str) -> Exporter:
    """The exporter of a framework by its name in `MODULES`.

    Raises:
        ConfigError: a package it needs is not installed in this interpreter.
    """
    try:
        exporter = cast(Exporter, import_module(MODULES[framework]).EXPORTER)
    except ImportError as error:
        raise _missing(framework, str(error.name)) from error
    for name in exporter.packages:
        if find_spec(name) is None:
            raise _missing(framework, name)
    return exporter


def _missing(framework: str, package: str) -> ConfigError:
    return ConfigError(
        f"cannot export a {framework} model without the package `{package}`; name a Python that"
        " has it with `--python`, or install it as docs/frameworks.md says"
    )


def framework_of(model: object) -> str:
    """The framework a live object belongs to.

    Raises:
        ModelRefused: it belongs to none that can be exported.
    """
    for kind in type(model).__mro__:
        framework = _ROOTS.get(kind.__module__.partition(".")[0])
        if framework:
            return framework
    raise ModelRefused(
        f"the function returned a `{type(model).__qualname__}`, expected a model of"
        f" {', '.join(MODULES)}"
    )
