"""Whoever asks for the size of the batch may use it for shapes, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
import torch
from torchvision import models

from stages.onnx_file.graph_logic import find_graph_logic
from tests.support import zoo
from tests.support.batch_logic_models import COUNTING, SIZED

ORDINARY: dict[str, Callable[[], torch.nn.Module]] = {
    "shufflenet": lambda: models.shufflenet_v2_x0_5(num_classes=10),
    "squeezenet": lambda: models.squeezenet1_1(num_classes=10),
    "googlenet": lambda: models.GoogLeNet(10, aux_logits=False, init_weights=False),
    "mobilenet_v3": lambda: models.mobilenet_v3_small(num_classes=10),
    "efficientnet": lambda: models.efficientnet_b0(num_classes=10),
    "regnet": lambda: models.regnet_y_400mf(num_classes=10),
    "mnasnet": lambda: models.mnasnet0_5(num_classes=10),
    "convnext": lambda: models.ConvNeXt(
        [models.convnext.CNBlockConfig(16, 32, 1), models.convnext.CNBlockConfig(32, None, 1)],
        num_classes=10,
    ),
    "swin": lambda: models.SwinTransformer(
        [2, 2], 16, [2, 2], [2, 4], window_size=[4, 4], num_classes=10
    ),
    "maxvit": lambda: models.MaxVit((32, 32), 8, 2, [16], [1], 8, 0, num_classes=10),
}
"""Further architectures of torchvision, as small as they come."""


@pytest.mark.parametrize("build", COUNTING)
def test_scores_that_depend_on_the_batch_block(build: Callable[[], onnx.ModelProto]) -> None:
    """Whatever way the number of samples takes to the scores, it is found and a node is named."""
    model = build()

    found = [each for each in find_graph_logic(model) if each.rule == "depends-on-batch"]

    assert [each.severity for each in found] == ["blocking"]
    assert set(found[0].nodes) <= {node.name for node in model.graph.node}


@pytest.mark.parametrize("build", SIZED)
def test_sizes_that_stay_shapes_pass(build: Callable[[], onnx.ModelProto]) -> None:
    """Targets of Reshape, rows for each sample and sizes other than the batch are honest."""
    assert find_graph_logic(build()) == ()


@pytest.mark.parametrize("architecture", ORDINARY)
@pytest.mark.parametrize("free", ["batch", "sides"])
def test_further_architectures_raise_nothing(architecture: str, free: str) -> None:
    """No net of torchvision, traced with free sizes, has a finding."""
    axes = {0: "batch"} | ({2: "height", 3: "width"} if free == "sides" else {})
    torch.manual_seed(0)
    net = ORDINARY[architecture]().eval()
    model = onnx.ModelProto.FromString(zoo.export_legacy(net, free=axes))

    assert find_graph_logic(model) == ()
