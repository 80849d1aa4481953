"""What a setting is: a value with its range, its unit and its meaning, all said once.

A class of settings is marked `@settings`. Each field is of a type below, or of one made in the same
way, and the text under it says what it means. From this the reader of settings, the refusal of
wrong ones, the JSON Schema and the page of all settings are made. A number has both a smallest and
a largest value: beyond them it makes no sense, switches a part of the scan off, or never ends.
"""

from __future__ import annotations

from copy import copy
from datetime import date
from functools import wraps
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from stages.errors import ConfigError
from stages.unfit import sentences

Kind = TypeVar("Kind")
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


def bounded(unit: str = "", **bounds: float) -> Any:
    """The range of a number, by `ge`, `gt`, `le` and `lt`, and its unit; a text is no number."""
    options: dict[str, Any] = {**bounds, "json_schema_extra": {"unit": unit} if unit else None}
    return Field(strict=True, **options)


def described(what: str, **constraints: Any) -> Any:
    """A value that only words describe: messages and the page of settings say that it is `what`."""
    return Field(strict=True, json_schema_extra={"what": what}, **constraints)


Switch = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True)]
Samples = Annotated[int, bounded("samples", ge=1, le=100_000)]
Steps = Annotated[int, bounded("steps", ge=1, le=10_000)]
Classes = Annotated[int, bounded("classes", ge=1, le=1_000_000)]
Places = Annotated[int, bounded("places", ge=1, le=64)]
Cells = Annotated[int, bounded("cells", ge=1, le=100_000)]
Pixels = Annotated[int, bounded("pixels", ge=1, le=100_000)]
Mebibytes = Annotated[int, bounded("MiB", ge=1, le=2**24)]
Memory = Annotated[int, bounded("MiB", ge=0, le=2**24)]
"""What a search may hold at once; with 0 it takes one thing after the other."""
Seconds = Annotated[float, bounded("s", gt=0, le=604_800)]
Share = Annotated[float, bounded(ge=0, le=1)]
PositiveShare = Annotated[float, bounded(gt=0, le=1)]
Probability = Annotated[float, bounded(ge=1e-6, lt=1)]
"""Some dozens of clean models say nothing of what is rarer than the smallest."""
Rate = Annotated[float, bounded(gt=0, le=10)]
"""A learning rate of Adam, or the length of a step."""
Epsilon = Annotated[float, bounded(gt=0, le=10)]
"""A bound ε of noise, as a share."""
Digest = Annotated[str, described("64 hexadecimal digits", pattern="^[0-9a-f]{64}$")]
"""A sha256."""
Day = Annotated[date, described("a date such as 2026-12-31, without quotes")]
Moment = Annotated[
    AwareDatetime, described("a moment such as 2026-12-31T12:00:00Z, without quotes")
]
"""A date and time with its offset."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(kind: type[Kind]) -> type[Kind]:
    """A class of settings: frozen, keyword-built, and checked whenever one is made.

    Making one raises ConfigError where a value is outside its range or of another type.
    """
    made: Any = dataclass(kind, frozen=True, kw_only=True, config=STRICT)
    check = made.__init__

    @wraps(check)
    def checked(self: object, **values: Any) -> None:
        try:
            check(self, **values)
        except ValidationError as error:
            found = sentences(error, TypeAdapter(made).json_schema(), _unknown)
            raise ConfigError(f"{kind.__name__}: {'; '.join(found)}") from error

    made.__init__ = checked
    checked_class: type[Kind] = made
    return checked_class


def unchecked(config: Kind, **changes: object) -> Kind:
    """Settings with values that their ranges leave out, such as no steps at all of a part."""
    changed = copy(config)
    for name, value in changes.items():
        object.__setattr__(changed, name, value)
    return changed


def _unknown(name: str) -> str:
    return f"unknown setting `{name}`"
