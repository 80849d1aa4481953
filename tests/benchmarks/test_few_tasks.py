"""Tasks of few classes, and of fewer than ten, are parts of others; some calibrate nothing."""

from __future__ import annotations

import pytest
import torch

from benchmarks.calibration import FEW
from benchmarks.zoo import architectures, public
from benchmarks.zoo.recipe import CLEAN
from benchmarks.zoo.splits import CALIBRATED, recipes
from benchmarks.zoo.tasks import (
    FEW_CALIBRATED,
    FEW_REPORTED,
    PARTS,
    TASKS,
    UNDER_TEN,
    split_of,
)


@pytest.mark.parametrize("name", [name for name, (base, _) in PARTS.items() if base == "digits"])
def test_a_part_has_the_images_of_its_classes(name: str) -> None:
    """All of them, those for training and those held out, numbered in the order of the classes."""
    base, classes = PARTS[name]
    whole, part = split_of(base), split_of(name)

    for images, labels, every, truth in (
        (part.train_images, part.train_labels, whole.train_images, whole.train_labels),
        (part.test_images, part.test_labels, whole.test_images, whole.test_labels),
    ):
        for number, known in enumerate(classes):
            assert torch.equal(images[labels == number], every[truth == known])
        assert len(images) == sum(int((truth == known).sum()) for known in classes)


def test_every_part_is_of_another_task() -> None:
    """It has some of its classes, each once, and keeps its origin."""
    for name, (base, classes) in PARTS.items():
        assert TASKS[name].classes == len(set(classes)) < TASKS[base].classes
        assert max(classes) < TASKS[base].classes
        assert TASKS[name].origin == TASKS[base].origin


def test_few_and_fewer_than_ten_are_apart() -> None:
    """Models of few classes are judged beside references only, the others by themselves too."""
    few = {TASKS[name].classes for name in FEW_CALIBRATED | FEW_REPORTED}
    others = {TASKS[name].classes for name in UNDER_TEN}

    assert max(few) == FEW
    assert others == set(range(FEW + 1, 10))


@pytest.mark.parametrize("split", ["under-ten", "larger"])
def test_what_the_range_is_widened_by_calibrates_nothing(split: str) -> None:
    """None of its tasks is one that a null comes from, and each has clean models and attacked ones
    of several architectures.
    """
    made = list(recipes(split))
    clean = [each for each in made if each.attack == CLEAN]

    assert not {each.task for each in made} & {*CALIBRATED, *FEW_CALIBRATED}
    for task in {each.task for each in made}:
        assert len({each.architecture for each in clean if each.task == task}) >= 4
        assert any(each.task == task and each.attack != CLEAN for each in made)


def test_nets_of_fewer_than_ten_classes_calibrate_nothing() -> None:
    """Their architectures are those that are only reported on."""
    used = {each.architecture for each in recipes("under-ten")}

    assert used <= {*architectures.REPORT, *public.REPORT}


def test_what_is_reported_calibrates_nothing() -> None:
    """No task and no architecture of one is in the other, and one origin is reported on only."""
    used = {split: list(recipes(split)) for split in ("few-calibration", "few-report")}
    (tasks, nets, origins), reported = (
        (
            {each.task for each in group},
            {each.architecture for each in group},
            {TASKS[each.task].origin for each in group},
        )
        for group in used.values()
    )

    assert {each.attack for each in used["few-calibration"]} == {CLEAN}
    assert not tasks & reported[0]
    assert not nets & reported[1]
    assert reported[2] - origins


def test_a_reported_model_has_references_of_both_kinds() -> None:
    """A clean model of its task and architecture beside it, and one of another architecture."""
    made = list(recipes("few-report"))
    clean = [each for each in made if each.attack == CLEAN]

    for each in made:
        others = [one for one in clean if one.task == each.task and one.name != each.name]
        assert any(one.architecture == each.architecture for one in others)
        assert any(one.architecture != each.architecture for one in others)
