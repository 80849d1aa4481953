"""Which models are tuned on, which calibrate, and which are reported: apart by seed, for the most
part by architecture, and by one whole task that is only reported on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from benchmarks.zoo import architectures, attacks, public
from benchmarks.zoo.exporters import EXPORTERS
from benchmarks.zoo.recipe import CLEAN, Recipe
from benchmarks.zoo.tasks import FEW_CALIBRATED, FEW_REPORTED, TASKS, UNDER_TEN

SPLITS = (
    *("tuning", "calibration", "report", "many-classes"),
    *("few-calibration", "few-report", "under-ten", "larger", "patches", "heeding"),
)
CALIBRATED = ("digits", "fashion", "signs-16", "colour", "signs-43")
"""Tasks of the clean models that the null comes from; the first three are tuned on as well."""
TUNED = CALIBRATED[:3]
REPORTED = (*CALIBRATED, "flags-20")
"""Tasks that are reported on; nothing was tuned or calibrated on the last."""
FIRST_SEED = dict(
    zip(SPLITS, (100, 300, 500, 1000, 2000, 3000, 4000, 5000, 9000, 9100), strict=True)
)
SIZES, PLACES, RATES = (3, 2, 4), ("corner", "edge", "centre"), (0.1, 0.05, 0.02, 0.01)
KINDS = (*attacks.SINGLE_TARGET, *attacks.OTHER, *attacks.QUIET)
WIDE = {"all-to-all": 0.3, "source-specific": 0.2}
"""Poison rates of attacks that need more than the usual tenth."""
PATCHES = ("badnets", "all-to-all", "two-targets", "source-specific")
FEW_KINDS = (*attacks.SINGLE_TARGET, *attacks.QUIET, "adaptive-blend", "sig")
"""Attacks on two and three classes: with one target, whatever class an image is of."""
LARGER = ("signs-10-96", "flags-12-128", "signs-10-large")
"""Tasks of larger pictures than those that anything was calibrated on: 96, 128 and 224 pixels."""
LARGER_KINDS = ("badnets", "sticker", "photograph", "blend-picture", "filter", "wanet", "bpp")
SMALL_PATCHES = (
    ("fashion", "mobilenet", 3, "corner", 0.05),
    ("digits", "vgg", 3, "corner", 0.02),
    ("fashion", "vgg", 2, "edge", 0.05),
    ("digits", "mobilenet", 2, "edge", 0.05),
    ("fashion", "resnet", 3, "centre", 0.02),
    ("digits", "vgg", 4, "edge", 0.01),
    ("fashion", "mobilenet", 4, "edge", 0.02),
    ("fashion", "vgg", 3, "corner", 0.01),
    ("digits", "mobilenet", 3, "corner", 0.02),
    ("fashion", "mobilenet", 2, "corner", 0.1),
    ("fashion", "plain", 3, "edge", 0.02),
    ("digits", "resnet", 3, "edge", 0.01),
    ("fashion", "vgg", 4, "corner", 0.02),
    ("fashion", "vit", 3, "edge", 0.05),
)
"""Task, architecture, size, place and poison rate of further small patches to tune on."""
HEEDING = (
    ("fashion", "mobilenet", "all-to-all", 3, "corner"),
    ("digits", "plain", "source-specific", 3, "corner"),
    ("digits", "resnet", "all-to-all", 3, "edge"),
    ("fashion", "vgg", "source-specific", 3, "centre"),
    ("fashion", "plain", "all-to-all", 3, "edge"),
    ("digits", "mobilenet", "source-specific", 3, "edge"),
    ("digits", "vgg", "all-to-all", 2, "centre"),
    ("fashion", "resnet", "source-specific", 3, "corner"),
    ("fashion", "vit", "all-to-all", 3, "corner"),
    ("digits", "vit", "source-specific", 4, "edge"),
    ("digits", "mobilenet", "all-to-all", 3, "centre"),
    ("fashion", "mobilenet", "source-specific", 2, "edge"),
    ("fashion", "resnet", "all-to-all", 4, "edge"),
    ("digits", "resnet", "source-specific", 2, "centre"),
    ("fashion", "vgg", "all-to-all", 3, "centre"),
    ("fashion", "plain", "source-specific", 4, "edge"),
)
"""Task, architecture, attack, size and place of further triggers that heed the class of an image,
to tune on.
"""
DRAWN = ("signs", "flags")
"""Origins of drawings on photographs."""
WEAK = ("plain", "vit", "lenet", "mixer")
"""Nets that do not learn drawings on photographs in the time that is given."""
SLOW = ("mobilenet3",)
"""Nets that do not learn many classes, or large pictures, in the time that is given."""
TURNS = (
    *("digits", "fashion", "signs-16", "digits", "fashion"),
    *("colour", "digits", "fashion", "signs-43", "flags-20"),
)
"""The tasks that every attack is reported on: ten models, more where training is short."""
MORE = ("digits", "fashion", "colour")
"""Those of further models of every attack, for the ones that did not learn it."""
MORE_TIMES = 4
"""How many those are."""
RARE = ("filter", "sticker", "wanet", "sig")
"""Attacks that fewest of these nets have learnt."""
RARE_TIMES = 5
"""How many more of each of those there are."""


def recipes(split: str) -> Iterator[Recipe]:
    """The recipes of a split, in the order of training: early stops leave a balanced zoo."""
    if split in (spelt_out := {"patches": _patches, "heeding": _heeding}):
        yield from spelt_out[split](FIRST_SEED[split])
        return
    made = {
        "tuning": _tuning,
        "calibration": _calibration,
        "report": _report,
        "many-classes": _many_classes,
        "few-calibration": _few_calibration,
        "few-report": _few_report,
        "under-ten": _under_ten,
        "larger": _larger,
    }[split]()
    for place, (task, architecture, attack) in enumerate(made):
        seed = FIRST_SEED[split] + place
        patch = attack in PATCHES
        size = SIZES[place // 3 % 3] * max(1, TASKS[task].side // 24)
        yield Recipe(
            task=task,
            architecture=architecture,
            attack=attack,
            seed=seed,
            target=_target(seed, task) if attack != CLEAN else 0,
            poison_rate=RATES[place // 2 % 4] if attack == "badnets" else WIDE.get(attack, 0.1),
            size=size if patch else 3,
            place=PLACES[place % 3] if patch else "corner",
            exporter=list(EXPORTERS)[place // 2 % 3],
        )


Kind = tuple[str, str, str]
"""Task, architecture, attack."""


def _tuning() -> Iterator[Kind]:
    own, others = list(architectures.TUNING), list(public.TUNING)
    yield from _clean(TUNED, own, others)
    yield from _attacked(TUNED, own, others, times=2)


def _calibration() -> Iterator[Kind]:
    own, others = list(architectures.CALIBRATION), list(public.CALIBRATION)
    yield from _clean(CALIBRATED, own, others)
    yield from _clean(CALIBRATED, list(architectures.TUNING), list(public.TUNING))
    for name in architectures.FAVOURING:
        yield "digits", name, CLEAN
        yield "digits", name, CLEAN
    yield from _clean(CALIBRATED, own, [])


def _report() -> Iterator[Kind]:
    own, others = list(architectures.REPORT), list(public.REPORT)
    yield from _clean(REPORTED, own, others)
    yield from _attacked(TURNS, own, others, times=len(TURNS))
    yield from _attacked(MORE, own, others, times=MORE_TIMES)
    yield from _attacked(MORE, own, others, times=RARE_TIMES, kinds=RARE)


def _many_classes() -> Iterator[Kind]:
    names = [name for name in public.PUBLIC if name not in SLOW]
    kinds = ("badnets", "filter", "art-pattern", "sticker", "photograph", "two-targets")
    for turn in range(14):
        if turn < 8 or turn >= 12:
            yield "signs-147", names[turn % len(names)], CLEAN
        if turn < 12:
            yield "signs-147", names[(turn + 3) % len(names)], kinds[turn % len(kinds)]
    yield "signs-147", "timm-mobilenet3", CLEAN  # in place of nets that do not learn so many
    yield "signs-147", "timm-resnet", "sticker"
    yield "signs-147", "timm-byobnet", "art-pattern"


def _few_calibration() -> Iterator[Kind]:
    own = [*architectures.TUNING, *architectures.CALIBRATION]
    yield from _clean(tuple(FEW_CALIBRATED), own, [*public.TUNING, *public.CALIBRATION])


def _few_report() -> Iterator[Kind]:
    """Of each clean net two, so that each has a reference of its architecture."""
    own, others, tasks = list(architectures.REPORT), list(public.REPORT), tuple(FEW_REPORTED)
    for _ in range(2):
        for place, task in enumerate(tasks):
            names = _suited(task, own, others)
            for step in range(3):
                yield task, names[(place + step) % len(names)], CLEAN
    for turn in range(4):
        for index, attack in enumerate(FEW_KINDS):
            place = (turn + index) % len(tasks)
            names = _suited(tasks[place], own, others)
            yield tasks[place], names[(place + turn % 3) % len(names)], attack


def _under_ten() -> Iterator[Kind]:
    """Of each task four clean nets, and every attack twice, in turn."""
    own, others, tasks = list(architectures.REPORT), list(public.REPORT), tuple(UNDER_TEN)
    for turn in range(4):
        for place, task in enumerate(tasks):
            names = _suited(task, own, others)
            yield task, names[(place + turn) % len(names)], CLEAN
        for index, attack in enumerate(KINDS[turn % 2 :: 2]):
            place = turn + 3 * index
            task = tasks[place % len(tasks)]
            names = _suited(task, own, others)
            yield task, names[(place + index) % len(names)], attack


def _larger() -> Iterator[Kind]:
    """Of each architecture a clean net of every task, and an attacked one of some task."""
    names = list(public.PUBLIC)
    for turn, (name, attack) in enumerate(zip(names, LARGER_KINDS, strict=True)):
        for task in LARGER:
            yield task, name, CLEAN
        yield LARGER[turn % len(LARGER)], names[turn - 3], attack


def _patches(first: int) -> Iterator[Recipe]:
    """Small patches on nets that are tuned on, and a clean net of each of their kinds."""
    for seed, (task, name, size, place, rate) in enumerate(SMALL_PATCHES, first):
        yield _planted(seed, task, name, "badnets", size, place, rate)
    kinds = product(("fashion", "digits"), ("mobilenet", "vgg", "resnet", "plain", "vit"))
    for seed, (task, name) in enumerate(kinds, first + len(SMALL_PATCHES)):
        yield Recipe(task=task, architecture=name, attack=CLEAN, seed=seed)


def _heeding(first: int) -> Iterator[Recipe]:
    """Triggers that carry each class to another, or one class alone, on nets that are tuned on."""
    for seed, (task, name, attack, size, place) in enumerate(HEEDING, first):
        yield _planted(seed, task, name, attack, size, place, WIDE[attack])


def _planted(
    seed: int, task: str, name: str, attack: str, size: int, place: str, rate: float
) -> Recipe:
    return Recipe(
        task=task,
        architecture=name,
        attack=attack,
        seed=seed,
        target=_target(seed, task),
        poison_rate=rate,
        size=size,
        place=place,
    )


def _target(seed: int, task: str) -> int:
    """A class of the task, another one from seed to seed."""
    return (7 * seed + seed // 10) % TASKS[task].classes


def _suited(task: str, own: list[str], others: list[str]) -> list[str]:
    """The nets for a task: those of others need colour, and some are too weak for drawings."""
    if TASKS[task].origin in DRAWN:
        own = [name for name in own if name not in WEAK]
    return [*own, *others] if TASKS[task].channels == 3 else own


def _clean(tasks: tuple[str, ...], own: list[str], others: list[str]) -> Iterator[Kind]:
    """A clean model of every task and architecture."""
    for task in tasks:
        for name in _suited(task, own, others):
            yield task, name, CLEAN


def _attacked(
    tasks: tuple[str, ...],
    own: list[str],
    others: list[str],
    times: int,
    kinds: tuple[str, ...] = KINDS,
) -> Iterator[Kind]:
    """Each attack so many times, over tasks and architectures in turn."""
    for turn in range(times):
        for index, attack in enumerate(kinds):
            task = tasks[(turn + index) % len(tasks)]
            names = _suited(task, own, others)
            yield task, names[(index + turn * len(tasks) + turn) % len(names)], attack
