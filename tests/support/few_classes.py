"""The demo models with some of their classes only, and the samples of these."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tests.support.places import DEMO

LAST = ("9.weight", "9.bias")
"""What the last layer of the demo models is made of."""


def with_classes(name: str, classes: list[int], path: Path) -> Path:
    """Writes a demo model that keeps the scores of these classes only."""
    model = onnx.load(DEMO / f"{name}.onnx")
    for each in model.graph.initializer:
        if each.name in LAST:
            each.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each)[classes], each.name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = len(classes)
    del model.graph.value_info[:]  # which states shapes of ten classes
    onnx.save(model, path)
    return path


def with_one_probability(name: str, classes: list[int], path: Path) -> Path:
    """Writes a demo model that tells two classes apart by one Sigmoid of how far they differ."""
    model = onnx.load(with_classes(name, classes, path))
    for each in model.graph.initializer:
        if each.name in LAST:
            first, second = numpy_helper.to_array(each)
            each.CopyFrom(numpy_helper.from_array((second - first)[None], each.name))
    (scores,) = model.graph.output
    (last,) = (node for node in model.graph.node if scores.name in node.output)
    last.output[0] = "log_odds"
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["log_odds"], [scores.name]))
    scores.type.tensor_type.shape.dim[1].dim_value = 1
    onnx.save(model, path)
    return path


def samples_of(classes: list[int], folder: Path) -> Path:
    """The demo samples of these classes, numbered anew."""
    with np.load(DEMO / "samples.npz") as demo:
        images, labels = demo["images"], demo["labels"]
    kept = np.isin(labels, classes)
    found = np.array([classes.index(each) for each in labels[kept]])
    np.savez(folder / "samples.npz", images=images[kept], labels=found)
    return folder / "samples.npz"
