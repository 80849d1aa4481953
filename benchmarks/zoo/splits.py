"""Which models are tuned on, which calibrate, and which are reported: apart by seed and, for the
greater part of what is reported, by architecture.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.zoo import architectures, attacks
from benchmarks.zoo.exporters import EXPORTERS
from benchmarks.zoo.recipe import CLEAN, Recipe

SPLITS = ("tuning", "calibration", "report")
TASKS = ("digits", "fashion", "colour")
FIRST_SEED = {"tuning": 100, "calibration": 300, "report": 500}
SIZES, PLACES, RATES = (3, 2, 4), ("corner", "edge", "centre"), (0.1, 0.05, 0.02, 0.01)
RARE = ("bpp", "low-frequency", "iad")
WIDE = {"all-to-all": 0.3}
"""Poison rates of attacks that need more than the usual tenth."""


def recipes(split: str) -> Iterator[Recipe]:
    """The recipes of a split, in the order of training: early stops leave a balanced zoo."""
    made = {"tuning": _tuning, "calibration": _calibration, "report": _report}[split]()
    for place, (task, architecture, attack) in enumerate(made):
        seed = FIRST_SEED[split] + place
        patch = attack in ("badnets", "all-to-all")
        yield Recipe(
            task=task,
            architecture=architecture,
            attack=attack,
            seed=seed,
            target=(7 * seed + seed // 10) % 10 if attack != CLEAN else 0,
            poison_rate=RATES[place // 2 % 4] if attack == "badnets" else WIDE.get(attack, 0.1),
            size=SIZES[place // 3 % 3] if patch else 3,
            place=PLACES[place % 3] if patch else "corner",
            exporter=list(EXPORTERS)[place // 2 % 3],
        )


Kind = tuple[str, str, str]
"""Task, architecture, attack."""


def _tuning() -> Iterator[Kind]:
    names = list(architectures.TUNING)
    main = (CLEAN, "badnets", "blend-noise", "wanet", "blend-picture")
    yield from _everywhere(names, main)
    yield from _rotating(names, (*RARE, *attacks.OTHER), times=2)
    yield from _everywhere(names, ("iad", "bpp"))


def _calibration() -> Iterator[Kind]:
    yield from _everywhere(list(architectures.CALIBRATION), 3 * (CLEAN,))
    yield from _everywhere(list(architectures.TUNING), (CLEAN,))
    for _ in range(6):
        for name in architectures.FAVOURING:
            yield "digits", name, CLEAN


def _report() -> Iterator[Kind]:
    names = list(architectures.REPORT)
    main = (CLEAN, "badnets", "blend-noise", "wanet", CLEAN, "blend-picture")
    yield from _everywhere(names, main)
    yield from _rotating(names, RARE, times=3)
    yield from _rotating(names, attacks.OTHER, times=3)
    yield from (("digits", name, attack) for attack in attacks.QUIET for name in names)


def _everywhere(names: list[str], kinds: tuple[str, ...]) -> Iterator[Kind]:
    """Each attack on every task and architecture."""
    for attack in kinds:
        for task in TASKS:
            for name in names:
                yield task, name, attack


def _rotating(names: list[str], kinds: tuple[str, ...], times: int) -> Iterator[Kind]:
    """Each attack so many times, over tasks and architectures in turn."""
    for turn in range(times):
        for index, attack in enumerate(kinds):
            yield TASKS[turn % 3], names[(turn + index) % len(names)], attack
