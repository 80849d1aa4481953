"""Labels get the model's numbers, or the scan ends: a guess would look like a wrong model."""

from __future__ import annotations

import pytest

from pipeline.samples.class_order import order_of
from pipeline.samples.collection import Collection, collected
from pipeline.samples.picture import Picture
from stages.errors import SamplesError


def _collection(*labels: str, classes: tuple[str, ...] | None = None) -> Collection:
    pictures = [Picture(name=f"{each}.png", label=each, content=bytes) for each in labels]
    return collected("class folders", pictures, classes)


def test_names_of_the_model_give_the_order() -> None:
    """Not the alphabet, and not the order of folders; classes without pictures are no matter."""
    found = order_of(_collection("cat", "dog"), ("ship", "dog", "cat"), 3)

    assert found.numbers == {"cat": 2, "dog": 1}


def test_spelling_is_forgiven() -> None:
    """Folders often have underscores and small letters where names have spaces."""
    found = order_of(_collection("great_white_shark", "cat"), ("Cat", "Great White Shark"), 2)

    assert found.numbers == {"cat": 0, "great_white_shark": 1}


def test_numbers_are_class_numbers() -> None:
    """10 comes after 2, whatever the order of folders is."""
    found = order_of(_collection(*map(str, range(11))), (), 11)

    assert found.numbers["10"] == 10


def test_without_names_the_source_decides() -> None:
    """As `ImageFolder`, sorted by name, or as a data set states its classes."""
    assert order_of(_collection("dog", "cat"), (), 2).numbers == {"cat": 0, "dog": 1}
    stated = _collection("dog", "cat", classes=("dog", "cat"))
    assert order_of(stated, (), 2).numbers == {"dog": 0, "cat": 1}


@pytest.mark.parametrize(
    ("labels", "names", "classes", "stated", "words"),
    [
        (
            ("cat", "dog"),
            (),
            3,
            False,
            "have 2 classes .*, the model has 3, .* `--class-names FILE`",
        ),
        (("cat", "dog", "eel"), (), 2, False, "have 3 classes"),
        (("cat", "dog"), ("cat", "eel"), 2, True, "the class names lack `dog`"),
    ],
)
def test_what_gives_no_order_is_refused(
    labels: tuple[str, ...], names: tuple[str, ...], classes: int, stated: bool, words: str
) -> None:
    """The sentence says how to give one."""
    with pytest.raises(SamplesError, match=words):
        order_of(_collection(*labels), names, classes, stated=stated)
