"""A picture becomes the same numbers as in the library that the preprocessing comes from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.models import get_weight

from pipeline.samples.input_form import InputForm, form_of
from pipeline.samples.preparation import Preparation
from pipeline.samples.preprocessor_config import FILE
from pipeline.samples.recipe import UNSAID, recipe_of
from pipeline.samples.transform import transform_of
from stages.errors import SamplesError
from stages.types import Floats, TensorSpec

PICTURE = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
).resize((500, 400))
COLOUR = InputForm(height=224, width=224, channels=3, layout="nchw")
SMALL = InputForm(height=None, width=None, channels=3, layout="nchw")
WEIGHTS = "ResNet50_Weights.IMAGENET1K_V2"


def _made(asked: Preparation, form: InputForm = COLOUR, beside: Path | None = None) -> Floats:
    return transform_of(recipe_of(asked, form, beside).preprocessing, form)(PICTURE)


def test_weights_of_torchvision_are_as_torchvision_has_them() -> None:
    """Resized, cut and normalised to the last bit; nothing is downloaded."""
    expected = get_weight(WEIGHTS).transforms()(PICTURE).numpy()

    found = _made(Preparation(preprocess=WEIGHTS))

    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_file_of_transformers_is_as_transformers_has_it(tmp_path: Path) -> None:
    """The file is read; its class is not loaded."""
    transformers = pytest.importorskip("transformers")
    processor = transformers.ViTImageProcessor(size={"height": 224, "width": 224})
    processor.save_pretrained(tmp_path)
    expected = np.asarray(processor(PICTURE, return_tensors="np")["pixel_values"])[0]

    named, beside = (
        _made(Preparation(preprocess=str(tmp_path / FILE))),
        _made(Preparation(), beside=tmp_path),
    )

    np.testing.assert_array_equal(named, beside)
    np.testing.assert_allclose(named, expected, atol=0.05)  # one 8-bit step apart, by rounding
    assert np.abs(named - expected).mean() < 0.005


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        (Preparation(), 0, 1),
        (Preparation(range="0-255"), 0, 255),
        (Preparation(range="-1-1"), -1, 1),
        (Preparation(mean=(0.5,), std=(0.5,)), -1, 1),
        (Preparation(range="0-255", mean=(127.5,), std=(127.5,)), -1, 1),
    ],
)
def test_black_and_white_are_where_they_are_asked_for(
    asked: Preparation, low: float, high: float
) -> None:
    """Ranges, means and standard deviations in the units of the range."""
    transform = transform_of(recipe_of(asked, COLOUR, None).preprocessing, COLOUR)

    for level, expected in ((0, low), (255, high)):
        found = transform(Image.new("RGB", (224, 224), (level,) * 3))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_options_win_over_names_and_names_over_files(tmp_path: Path) -> None:
    """What the user says last and most exactly counts."""
    (tmp_path / FILE).write_text(json.dumps({"do_rescale": False, "do_resize": False}))

    by_file = recipe_of(Preparation(), COLOUR, tmp_path)
    by_name = recipe_of(Preparation(preprocess="imagenet"), COLOUR, tmp_path)
    by_option = recipe_of(Preparation(preprocess="imagenet", mean=(0.5,)), COLOUR, tmp_path)

    assert by_file.preprocessing.span == (0, 255)
    assert by_name.preprocessing.mean == (0.485, 0.456, 0.406)
    assert by_option.preprocessing.mean == (0.5,)
    assert by_option.origin == "`--preprocess imagenet` and `--mean 0.5`"
    assert recipe_of(Preparation(), COLOUR, None).origin == UNSAID


def test_sizes_follow_from_the_model() -> None:
    """A name's own proportions are kept at the model's size; without one, pictures stay as wide."""
    small = InputForm(height=96, width=96, channels=3, layout="nchw")

    named = recipe_of(Preparation(preprocess="imagenet"), small, None).preprocessing

    assert (named.resize, named.crop) == ((110,), (96, 96))
    assert _made(Preparation(), small).shape == (3, 96, 96)
    assert _made(Preparation(), SMALL).shape == (3, 400, 500)
    assert _made(Preparation(resize=(20, 30)), SMALL).shape == (3, 20, 30)


def test_channels_go_where_they_are_wanted() -> None:
    """First or last, in either order, or grey."""
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    last = InputForm(height=8, width=8, channels=3, layout="nhwc")
    plane = InputForm(height=8, width=8, channels=1, layout="nchw", is_plane=True)

    def pixel(asked: Preparation, form: InputForm) -> list[float]:
        return np.ravel(
            transform_of(recipe_of(asked, form, None).preprocessing, form)(red)
        ).tolist()

    assert pixel(Preparation(), last)[:3] == [1, 0, 0]
    assert pixel(Preparation(channels="bgr"), last)[:3] == [0, 0, 1]
    assert len(set(pixel(Preparation(channels="grey"), last))) == 1
    assert len(pixel(Preparation(), plane)) == 64


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, 3, 32, 24), InputForm(height=32, width=24, channels=3, layout="nchw")),
        ((None, 32, 24, 3), InputForm(height=32, width=24, channels=3, layout="nhwc")),
        ((1, None, None, 3), InputForm(height=None, width=None, channels=3, layout="nhwc")),
        ((None, 1, 28, 28), InputForm(height=28, width=28, channels=1, layout="nchw")),
        (
            (None, 28, 28),
            InputForm(height=28, width=28, channels=1, layout="nchw", is_plane=True),
        ),
    ],
)
def test_the_form_is_read_from_the_input(
    shape: tuple[int | None, ...], expected: InputForm
) -> None:
    """Channels last only where they can be nothing else."""
    assert form_of(TensorSpec(name="image", shape=shape, dtype="float32")) == expected


@pytest.mark.parametrize("shape", [(None, 784), (None, 12, 32, 32), (1, 3, 8, 8, 8)])
def test_an_input_that_is_no_picture_is_refused(shape: tuple[int | None, ...]) -> None:
    """It takes an `.npz`."""
    with pytest.raises(SamplesError, match="none of pictures with one or three channels"):
        form_of(TensorSpec(name="image", shape=shape, dtype="float32"))


@pytest.mark.parametrize(
    ("stated", "resize", "crop", "span"),
    [
        ({"size": 224}, (224,), None, (0, 1)),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224}, (256,),
         (224, 224), (0, 1)),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, (256,), (224, 224), (0, 1)),
        ({"do_resize": False, "rescale_factor": 1 / 127.5, "rescale_offset": True}, (), None,
         (-1, 1)),
    ],
)  # fmt: skip
def test_the_dialects_of_transformers_are_understood(
    tmp_path: Path,
    stated: dict[str, object],
    resize: tuple[int, ...],
    crop: tuple[int, int] | None,
    span: tuple[float, float],
) -> None:
    """Sizes as numbers or by edge, crops by share, and rescaling with an offset."""
    (tmp_path / FILE).write_text(json.dumps(stated))

    found = recipe_of(Preparation(), SMALL, tmp_path).preprocessing

    assert (found.resize, found.crop) == (resize, crop)
    np.testing.assert_allclose(found.span, span)
