"""A live model of Keras is scanned as one of torch is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ban_gate
from stages.export.keras import keras
from tests.support.pictures import digits, save_digits

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own
FEW = 60
Samples = tuple[Any, ...]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of other tests is used."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))


def model() -> Any:
    """A small classifier that was never trained, with its channels last."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


def channels_last(_folder: Path) -> Samples:
    images, labels = digits(FEW)
    return images.transpose(0, 2, 3, 1), labels


def channels_first(_folder: Path) -> Samples:
    return digits(FEW)


def pictures(folder: Path) -> Samples:
    return (save_digits(folder, FEW),)


@pytest.mark.parametrize("samples", [channels_last, channels_first, pictures])
def test_a_live_model_takes_samples_of_any_kind(
    samples: Callable[[Path], Samples], tmp_path: Path
) -> None:
    """Its input says their shape; the model is as it was."""
    live = model()
    before = [np.array(each) for each in live.get_weights()]

    result = ban_gate.scan(live, *samples(tmp_path / "pictures"))

    assert result.reasons[-1] == "only 60 clean samples, at least 100 are needed"
    assert result.scan.evidence.artifact is not None
    for old, new in zip(before, live.get_weights(), strict=True):
        np.testing.assert_array_equal(old, np.array(new))
