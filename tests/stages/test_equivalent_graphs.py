"""The law of equivalent graphs: a verdict is about the scores, however a graph begins or ends.

The twin of each demo model behind an equivalent beginning or end computes the logits of the model
itself, up to one positive factor, with a gradient; all that is searched and judged follows from
them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto
from torch import fx

from stages.passes import normalise
from stages.twin.convert import build_module
from stages.twin.gradient import require_gradient
from stages.types import Floats
from tests.support.graph_beginnings import BEGINNINGS, begun
from tests.support.graph_ends import KEEPING, at_opset_17, ended

DEMO = Path(__file__).parents[2] / "mlflow_project" / "demo"
MODELS = ["clean", "patch", "blended"]
CLASSES = 10


@cache
def demo(name: str) -> ModelProto:
    """A demo model, at the opset that the texts of ends and beginnings are written for."""
    return at_opset_17(onnx.load(DEMO / f"{name}.onnx"))


@cache
def images() -> Floats:
    """Clean samples whose numbers are bytes over 255."""
    with np.load(DEMO / "samples.npz") as stored:
        shown: Floats = stored["images"][:64]
    return np.rint(shown * 255).astype(np.float32) / 255


def logits(module: fx.GraphModule, given: Floats) -> Floats:
    """What a twin says of images."""
    with torch.no_grad():
        found: Floats = module(torch.from_numpy(given)).numpy()
    return found


@pytest.mark.parametrize("model", MODELS)
def test_however_a_graph_ends(model: str) -> None:
    """At least twenty ends that keep every decision."""
    expected = logits(build_module(normalise(demo(model))), images())
    assert len(KEEPING) >= 20
    for name, text in KEEPING.items():
        module = build_module(normalise(ended(demo(model), text, CLASSES)))

        found = logits(module, images())

        factor = float((found * expected).sum() / (expected**2).sum())
        assert factor > 0, name
        np.testing.assert_allclose(found / factor, expected, rtol=1e-3, atol=1e-2, err_msg=name)
        require_gradient(module, images())


@pytest.mark.parametrize("model", MODELS)
def test_however_a_graph_begins(model: str) -> None:
    """Layouts, ranges and whole numbers, at the input or in the graph."""
    expected = logits(build_module(normalise(demo(model))), images())
    for name, beginning in BEGINNINGS.items():
        module = build_module(normalise(begun(demo(model), beginning)))
        given = beginning.given(images())

        found = logits(module, given)

        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2, err_msg=name)
        require_gradient(module, given)
