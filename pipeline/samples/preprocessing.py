"""How one picture becomes numbers, as a value that can be shown, stored and compared."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from pipeline.samples.preparation import Channels
from stages.errors import ConfigError

LARGEST_SIDE = 8192
"""Pixels that a picture may be resized or cut to."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Sizes first, then values: black and white become the ends of `span`, and of that the `mean`
    is subtracted and the rest divided by `std`, channel by channel.

    `resize` is the shorter side, or height and width, empty for none. `interpolation` is a name of
    torchvision's. `channels` is their order, or grey; None follows from the model.
    """

    resize: tuple[int, ...] = ()
    crop: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    span: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channels: Channels | None = None

    def __post_init__(self) -> None:
        _require_sizes("resize", self.resize)
        _require_sizes("crop", self.crop or ())
        numbers = (*self.span, *self.mean, *self.std)
        if not all(map(math.isfinite, numbers)) or 0.0 in self.std:
            raise ConfigError(
                f"mean {self.mean} and std {self.std} of the preprocessing are no finite numbers,"
                " or a std is 0; give what the model was trained with"
            )
        if not len(self.mean) == len(self.std):
            raise ConfigError(
                f"the preprocessing has {len(self.mean)} means and {len(self.std)} standard"
                " deviations; give as many of both, such as `--mean 0.5 --std 0.5`"
            )

    def as_facts(self) -> dict[str, object]:
        """The fields by name, for the record of where samples came from."""
        return asdict(self)


def _require_sizes(name: str, sizes: Iterable[int]) -> None:
    for size in sizes:
        if not 1 <= size <= LARGEST_SIDE:
            raise ConfigError(f"`{name}` is {size}, expected 1 to {LARGEST_SIDE} pixels")
