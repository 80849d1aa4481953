"""Backdoors in the graph: caught when planted, and no false alarm on honest graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from stages.onnx_file.graph_logic import find_graph_logic
from tests.support import zoo
from tests.support.graph_logic_models import (
    HALF,
    HONEST,
    PLANTED,
    classifier,
    dequantised_by_hand,
    dynamically_quantised,
    node,
)
from tests.support.narrow_path_models import (
    SCALED,
    WASHED,
    guarded_range,
    picked_if_bright,
    scaled_if_bright,
)
from tests.support.places import DEMO


@pytest.mark.parametrize("build", [dynamically_quantised, dequantised_by_hand])
def test_quantisation_warns_and_does_not_block(build: Callable[[], onnx.ModelProto]) -> None:
    """A zero point, added to a tensor and subtracted again, is told but is no trigger."""
    found = find_graph_logic(build())

    assert {each.severity for each in found} == {"warning"}
    assert {each.rule for each in found} == {"decision-gates-data"}


@pytest.mark.parametrize("build", [*PLANTED, *WASHED])
def test_planted_logic_blocks(build: Callable[[], onnx.ModelProto]) -> None:
    """Every graph backdoor is found at blocking severity, and a node of it is named."""
    model = build()

    blocking = [each for each in find_graph_logic(model) if each.severity == "blocking"]

    assert blocking
    assert {name for each in blocking for name in each.nodes} <= {n.name for n in model.graph.node}


@pytest.mark.parametrize("build", [*HONEST, *SCALED])
def test_honest_logic_passes(build: Callable[[], onnx.ModelProto]) -> None:
    """Activations, rounding, normalisation, gates made by weights and shapes raise nothing."""
    assert find_graph_logic(build()) == ()


@pytest.mark.parametrize(
    ("build", "severity"),
    [(guarded_range, "note"), (scaled_if_bright, "warning"), (picked_if_bright, "warning")],
)
def test_what_only_scales_the_image_does_not_block(
    build: Callable[[], onnx.ModelProto], severity: str
) -> None:
    """A guard against dividing by zero is noted once, and scaling bytes if there are any warns."""
    assert [each.severity for each in find_graph_logic(build())] == [severity]


@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
@pytest.mark.parametrize("exporter", zoo.EXPORTERS)
def test_exports_raise_nothing(architecture: str, exporter: str) -> None:
    """No export of an ordinary network has a finding."""
    model = onnx.ModelProto.FromString(zoo.exported(architecture, exporter))

    assert find_graph_logic(model) == ()


@pytest.mark.parametrize("name", ["clean", "patch", "blended"])
def test_weight_backdoors_are_not_graph_backdoors(name: str) -> None:
    """The demo models, backdoored in their weights, have honest graphs."""
    assert find_graph_logic(onnx.load(DEMO / f"{name}.onnx")) == ()


def test_a_path_around_the_weights_is_told() -> None:
    """Scores that also depend on the input directly get a warning, which does not block."""
    after = [
        node("ReduceMean", "x", "mean", axes=[1, 2, 3], keepdims=0),
        node("Unsqueeze", "mean one", "column"),
        node("Add", "honest column", "scores"),
    ]

    found = find_graph_logic(classifier([], after, {"one": np.array([1])}))

    assert [(each.rule, each.severity) for each in found] == [("input-bypass", "warning")]


def test_weights_end_a_decision() -> None:
    """A comparison that only feeds features through further weights is left alone."""
    before = [
        node("Greater", "x half", "bright"),
        node("Cast", "bright", "seen", to=TensorProto.FLOAT),
    ]

    assert find_graph_logic(classifier(before, [], HALF)) == ()
