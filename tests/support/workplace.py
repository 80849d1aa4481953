"""The folder that the pages presume: models, samples, pictures, a policy and a registry."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image

from tests.support.few_classes import with_classes
from tests.support.places import DEMO, ROOT

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 123456\n"


def fill(folder: Path) -> None:
    """Writes the files that pages name into a new folder."""
    folder.mkdir()
    for name in ("model", "v2", "v3"):
        shutil.copy(DEMO / "clean.onnx", folder / f"{name}.onnx")
    shutil.copy(DEMO / "blended.onnx", folder / "backdoored.onnx")
    _save_sibling(folder / "v1.onnx")
    (folder / "models").mkdir()
    for name in ("one", "two"):
        shutil.copy(DEMO / "clean.onnx", folder / "models" / f"{name}.onnx")
    with_classes("clean", [1, 4], folder / "two-classes.onnx")
    (folder / "prod.toml").write_text('max_age = "7d"\n')
    (folder / "docs").symlink_to(ROOT / "docs")
    _fill_faulty(folder)
    _fill_samples(folder)


def _save_sibling(path: Path) -> None:
    """A model as clean as the demo's, whose weights differ by about one per cent."""
    model, random = onnx.load(DEMO / "clean.onnx"), np.random.default_rng(0)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim > 1:
            other = values * (1 + 0.01 * random.standard_normal(values.shape))
            tensor.CopyFrom(numpy_helper.from_array(other.astype(np.float32), tensor.name))
    onnx.save(model, path)


def _fill_faulty(folder: Path) -> None:
    """Files that a scan refuses."""
    (folder / "pointer.onnx").write_text(POINTER)
    (folder / "broken.onnx").write_bytes((DEMO / "clean.onnx").read_bytes()[:5000])
    (folder / "model.pt").write_bytes(b"PK\x03\x04")


def _fill_samples(folder: Path) -> None:
    """Clean samples, those with the usual mistakes, and their pictures."""
    with np.load(DEMO / "samples.npz") as samples:
        images, labels = samples["images"], samples["labels"]
    np.savez(folder / "clean.npz", images=images, labels=labels)
    np.savez(folder / "divided-twice.npz", images=images / 255, labels=labels)
    np.savez(folder / "from-one.npz", images=images, labels=labels + 1)
    np.savez(folder / "small.npz", images=images[:, :, :12, :12], labels=labels)
    np.savez(folder / "few.npz", images=images[:40], labels=labels[:40])
    np.savez(folder / "renamed.npz", x=images, labels=labels)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / "pictures" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.rint(image[0] * 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
