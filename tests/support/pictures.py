"""The demo's digits as people have pictures: files in class folders, listed in a table, and a model
that takes them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from stages.onnx_file.inspection import inspect_onnx
from stages.types import Floats, Integers, OnnxArtifact
from tests.support.places import DEMO

MODEL = DEMO / "clean.onnx"


def digits(count: int | None = None) -> tuple[Floats, Integers]:
    """The first clean samples of the demo, rounded to the 256 values a picture has."""
    with np.load(DEMO / "samples.npz") as stored:
        images, labels = stored["images"][:count], stored["labels"][:count]
    return (images * 255).round().astype(np.float32) / 255, labels


def save_digits(folder: Path, count: int, name: str = "digit-{}") -> Path:
    """Writes the digits as PNG files into a folder for each class, named by its number."""
    for number, (image, label) in enumerate(zip(*digits(count), strict=True)):
        place = folder / name.format(label)
        place.mkdir(parents=True, exist_ok=True)
        pixels = (image[0] * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{number:03}.png")
    return folder


def demo_artifact() -> OnnxArtifact:
    """What inspection says of the demo's clean model."""
    return inspect_onnx(MODEL)
