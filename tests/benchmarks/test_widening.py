"""The range takes in models that nothing was fitted on, where the limits hold of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.profiles import Known
from benchmarks.widening import FEWEST, widened
from stages.searches import SPECS
from tests.support.known_models import TARGET, clean_models, drawn, known_model
from tests.support.profiles import SETTINGS

RANGE = SETTINGS.range
LOW = {name: -9.0 for name, spec in SPECS.items() if spec.whole}
"""What is said of a whole model in which no trigger turns each class into another."""


def quiet(count: int, *, classes: int = 10, side: int = 16) -> list[Known]:
    """Clean models in which no class stands out."""
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        values = {name: 0.01 * each for name, each in drawn(random, classes).items()}
        values |= {name: np.full(classes, low, np.float32) for name, low in LOW.items()}
        model = known_model(f"clean-{classes}-{side}-{number}", values)
        found.append(replace(model, profile=replace(model.profile, side=side)))
    return found


def loud(models: list[Known]) -> list[Known]:
    """The same, in which a class stands out by far."""
    changed = []
    for each in models:
        values = {name: value.copy() for name, value in each.profile.statistics.items()}
        for name, spec in SPECS.items():
            if not spec.whole:
                values[name][TARGET] += 50
        changed.append(replace(each, profile=replace(each.profile, statistics=values)))
    return changed


@pytest.mark.parametrize(
    ("classes", "side", "bound", "end"),
    [
        (4, 16, "fewest_classes", 4),
        (101, 16, "most_classes", 101),
        (10, 7, "smallest_side", 7),
        (10, 300, "largest_side", 300),
    ],
)
def test_models_of_which_the_limits_hold_are_taken_in(
    classes: int, side: int, bound: str, end: int
) -> None:
    """The end of the range on their side moves to them, and nothing else changes."""
    found = widened(SETTINGS, quiet(FEWEST, classes=classes, side=side))

    assert found == replace(SETTINGS, range=replace(RANGE, **{bound: end}))


def test_the_furthest_of_them_is_the_end() -> None:
    """Models of different sides move the end to the largest one."""
    models = [*quiet(FEWEST, side=256), *quiet(1, side=300), *quiet(1, side=224)]

    assert widened(SETTINGS, models).range == replace(RANGE, largest_side=300)


def test_too_few_models_move_nothing() -> None:
    """However well the limits hold of them; nor do models inside of the range, few or many."""
    assert widened(SETTINGS, quiet(FEWEST - 1, side=300)) == SETTINGS
    assert widened(SETTINGS, quiet(FEWEST)) == SETTINGS
    assert widened(SETTINGS, quiet(FEWEST, classes=RANGE.few_classes)) == SETTINGS


def test_models_that_are_blocked_too_often_move_nothing() -> None:
    """More than chance blocks at the false-alarm rate: of twenty three may be blocked, four not."""
    models = quiet(FEWEST, side=300)
    three, four = ([*loud(models[:count]), *models[count:]] for count in (3, 4))

    assert widened(SETTINGS, three).range == replace(RANGE, largest_side=300)
    assert widened(SETTINGS, four) == SETTINGS


def test_backdoored_models_are_not_asked() -> None:
    """Neither counts a backdoored model as one for which the limits hold."""
    attacked = [replace(each, attack="badnets") for each in quiet(FEWEST, side=300)]

    assert widened(SETTINGS, [*attacked, *clean_models(1)]) == SETTINGS
