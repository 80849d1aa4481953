"""A model that does not state its input is exported for the pictures that it will be given."""

from __future__ import annotations

import pytest

from pipeline.samples.native_shape import native_shape
from pipeline.samples.preparation import Preparation


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Preparation(), None),
        (Preparation(resize=(64,)), None),
        (Preparation(crop=(64, 48)), (3, 64, 48)),
        (Preparation(resize=(64, 48)), (3, 64, 48)),
        (Preparation(preprocess="imagenet"), (3, 224, 224)),
        (Preparation(crop=(28, 28), channels="grey"), (1, 28, 28)),
        (Preparation(crop=(28, 28), layout="nhwc"), (28, 28, 3)),
    ],
)
def test_the_shape_follows_from_what_is_asked_for(
    asked: Preparation, expected: tuple[int, ...] | None
) -> None:
    """Height and width where an option or a name states them, and grey where it is asked for."""
    assert native_shape(asked, "nowhere.pt", "pytorch") == expected


def test_models_that_state_their_input_are_left_to_it() -> None:
    """Keras and others know better."""
    assert native_shape(Preparation(crop=(28, 28)), "nowhere.keras", "keras") is None
