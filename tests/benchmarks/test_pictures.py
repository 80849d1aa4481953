"""Signs and flags on photographs are made the same every time, and only what is drawn differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import pictures

SMALL = replace(pictures.PICTURE_TASKS["signs-16"], classes=4, train=6, test=3)


def drawn(value: float) -> torch.Tensor:
    """A grey square with a clear rim, as a drawing."""
    square = torch.zeros(4, pictures.DRAWN, pictures.DRAWN)
    square[:3] = value
    square[3, 20:-20, 20:-20] = 1
    return square


def part(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A part of a small task of grey squares."""
    designs = [[drawn(number / 4)] for number in range(SMALL.classes)]
    return pictures._part(SMALL, designs, pictures.backgrounds(SMALL.side), seed)


def test_photographs_are_larger_than_images() -> None:
    """Every photograph has room for cut-outs that differ, and lies in [0, 1]."""
    for side in {each.side for each in pictures.PICTURE_TASKS.values()}:
        found = pictures.backgrounds(side)
        assert found
        for photograph in found:
            assert photograph.shape[0] == 3
            assert min(photograph.shape[1:]) > 2 * side
            assert 0 <= photograph.min() <= photograph.max() <= 1


def test_a_part_is_the_same_every_time() -> None:
    """A seed fixes images and labels, whatever torch drew before; classes are equally many."""
    images, labels = part(1)
    torch.rand(3)
    again, same_labels = part(1)

    assert images.shape == (24, 3, SMALL.side, SMALL.side)
    assert images.dtype == torch.uint8
    assert torch.equal(images, again)
    assert torch.equal(labels, same_labels)
    assert torch.bincount(labels).tolist() == [6] * 4
    assert torch.bincount(part(2)[1]).tolist() == [3] * 4


def test_no_two_images_of_both_parts_are_the_same() -> None:
    """Every image is drawn anew, also in the held-out part."""
    images = torch.cat([part(1)[0], part(2)[0]])

    assert len({each.numpy().tobytes() for each in images}) == len(images)


@pytest.mark.parametrize("name", pictures.PICTURE_TASKS)
def test_missing_drawings_are_said_to_be_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the packages the error says how to fetch them."""
    monkeypatch.setattr(pictures, "FOLDER", tmp_path)

    with pytest.raises(FileNotFoundError, match="run `python -m"):
        pictures.split(name)


@pytest.mark.parametrize("name", pictures.PICTURE_TASKS)
def test_every_class_has_drawings_of_its_own(name: str) -> None:
    """No drawing belongs to two classes, and there are as many classes as the task says."""
    task = pictures.PICTURE_TASKS[name]
    try:
        found = pictures.drawings(task)
    except FileNotFoundError as error:
        pytest.skip(str(error))

    paths = [path for each in found for path in each]
    assert len(found) == task.classes
    assert len(set(paths)) == len(paths)
    opaque = pictures.rendered(paths[0])
    assert opaque.shape == (4, pictures.DRAWN, pictures.DRAWN)
    assert opaque[3].max() == 1


def test_a_task_on_too_few_photographs_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the packages that hold most of them are missing, and not made of the few that are."""
    monkeypatch.setattr(pictures, "FOLDER", tmp_path)
    monkeypatch.setattr(pictures, "PHOTOGRAPHS", ())
    pictures.photographs.cache_clear()

    with pytest.raises(FileNotFoundError, match="found 2 photographs, expected 10"):
        pictures.split("signs-16")

    pictures.photographs.cache_clear()
