"""How one model of the zoo is made."""

from __future__ import annotations

from dataclasses import dataclass

CLEAN = "clean"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model is made; equal recipes give equal models on one machine.

    `poison_rate` counts poisoned images against all training images; `size` and `place` (corner,
    edge, centre) are those of a patch; `exporter` is one of `benchmarks.zoo.exporters`.
    """

    task: str
    architecture: str
    attack: str
    seed: int
    target: int = 0
    poison_rate: float = 0.1
    size: int = 3
    place: str = "corner"
    exporter: str = "dynamo"

    @property
    def name(self) -> str:
        """The name of its files, without ending."""
        target = "" if self.attack == CLEAN else f"-to{self.target}"
        return f"{self.task}-{self.architecture}-{self.attack}{target}-s{self.seed}"
