"""Tiny seeded classifiers of real architectures and the ways to export them to ONNX.

Every net takes images (N, 3, 32, 32) float32 and gives 10 logits. BatchNorm statistics come from
two forward passes in train mode, so they are neither zero nor one.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import nn
from torchvision.models.densenet import DenseNet
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.resnet import BasicBlock
from torchvision.models.vgg import make_layers
from torchvision.models.vision_transformer import VisionTransformer

from tests.support import once

CLASSES = 10
IMAGE = (3, 32, 32)


def small_cnn() -> nn.Module:
    """Two convolutions with BatchNorm, max pooling and one linear layer."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 8 * 8, CLASSES)),
    )


def vgg_bn() -> nn.Module:
    """The layers of a VGG with BatchNorm, pooled to one position, and a head with dropout."""
    return nn.Sequential(
        make_layers([8, "M", 16, "M", 32, 32, "M"], batch_norm=True),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 32), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(32, CLASSES)),
    )


def resnet() -> nn.Module:
    """Two basic residual blocks, the second with stride 2 and a projected shortcut."""
    shortcut = nn.Sequential(nn.Conv2d(8, 16, 1, stride=2, bias=False), nn.BatchNorm2d(16))
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(BasicBlock(8, 8), BasicBlock(8, 16, stride=2, downsample=shortcut)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES)),
    )


def mobilenet() -> nn.Module:
    """A MobileNetV2 of quarter width with five inverted residuals."""
    blocks = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2]]
    return MobileNetV2(CLASSES, width_mult=0.25, inverted_residual_setting=blocks)


def densenet() -> nn.Module:
    """A DenseNet of three blocks of two layers."""
    return DenseNet(8, (2, 2, 2), num_init_features=16, num_classes=CLASSES)


def mlp() -> nn.Module:
    """Two linear layers with BatchNorm between them."""
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(3 * 32 * 32, 32), nn.BatchNorm1d(32), nn.ReLU()),
        nn.Linear(32, CLASSES),
    )


def vit() -> nn.Module:
    """A vision transformer of two layers with two heads on 16 patches."""
    return VisionTransformer(
        image_size=32,
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        mlp_dim=64,
        num_classes=CLASSES,
    )


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    build.__name__: build for build in (small_cnn, vgg_bn, resnet, mobilenet, densenet, mlp, vit)
}


@cache
def net(architecture: str) -> nn.Module:
    """The seeded net of that name in eval mode; shared, so do not change it."""
    torch.manual_seed(7)
    module = ARCHITECTURES[architecture]().train()
    last = [part for part in module.modules() if isinstance(part, nn.Linear)][-1]
    nn.init.normal_(last.weight, std=0.5)
    with torch.no_grad():
        for _ in range(2):
            module(torch.randn(16, *IMAGE))
        last.bias -= module.eval()(images(64)).mean(0)  # so that every class is predicted
    return module.eval()


def images(n: int, seed: int = 11) -> torch.Tensor:
    """Standard normal images (n, 3, 32, 32)."""
    return torch.randn(n, *IMAGE, generator=torch.Generator().manual_seed(seed))


def export_legacy(
    module: nn.Module,
    *,
    opset: int = 17,
    preserve: bool = False,
    free: dict[int, str] | None = None,
) -> bytes:
    """What the tracing exporter writes; `preserve` keeps BatchNorm nodes apart.

    `free` names the axes of the input that have no fixed size, by default the batch alone.
    """
    mode = torch.onnx.TrainingMode.PRESERVE if preserve else torch.onnx.TrainingMode.EVAL
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            *(module, (images(2),), target),
            dynamo=False,
            opset_version=opset,
            training=mode,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": free or {0: "batch"}, "logits": {0: "batch"}},
        )
    return target.getvalue()


def export_dynamo(
    module: nn.Module, *, opset: int | None = None, baked: int | None = None
) -> bytes:
    """What the default exporter writes, with a free batch or with the batch size `baked` in."""
    free = ({0: torch.export.Dim("batch", min=1, max=1024)},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            *(module, (images(baked or 2),)),
            dynamo=True,
            opset_version=opset,
            verbose=False,
            dynamic_shapes=None if baked else free,
        )
    assert program is not None
    return program.model_proto.SerializeToString()


EXPORTERS: dict[str, Callable[[nn.Module], bytes]] = {
    "legacy": export_legacy,
    "legacy-preserve": lambda module: export_legacy(module, preserve=True),
    "dynamo": export_dynamo,
    "dynamo-baked": lambda module: export_dynamo(module, baked=1),
}


@cache
def exported(architecture: str, exporter: str) -> bytes:
    """The ONNX bytes of that net by that exporter, made once per run of the tests."""
    return once.made(
        f"{architecture}.{exporter}.onnx", lambda: EXPORTERS[exporter](net(architecture))
    )
