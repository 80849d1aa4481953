"""The ways torch writes ONNX: the tracing exporter and the default one, with their settings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import torch
from torch import nn

from benchmarks.conversion import torch_models
from benchmarks.conversion.case import Case

SMALL = frozenset(
    [
        *("resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t"),
        *("convnext_atto", "mobilevit_xxs", "vit_tiny_patch16_224"),
    ]
)
"""The architectures that every exporter writes; the others are written by `COMMON` alone."""


@dataclass(frozen=True, kw_only=True)
class Legacy:
    """`torch.onnx.export(dynamo=False)`; `preserve` keeps BatchNorm apart.

    `baked` is the batch size to write into the file, None for a free one.
    """

    opset: int
    preserve: bool = False
    baked: int | None = None

    def __call__(self, module: nn.Module, images: torch.Tensor, target: Path) -> None:
        mode = torch.onnx.TrainingMode
        torch.onnx.export(
            *(module, (images[: self.baked],), str(target)),
            dynamo=False,
            opset_version=self.opset,
            training=mode.PRESERVE if self.preserve else mode.EVAL,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes=None if self.baked else {"input": {0: "batch"}, "logits": {0: "batch"}},
        )


@dataclass(frozen=True, kw_only=True)
class Dynamo:
    """`torch.onnx.export(dynamo=True)`, which is the default; opset None is the exporter's own.

    `baked` is the batch size to write into the file, None for a free one.
    """

    opset: int | None = None
    optimize: bool = True
    baked: int | None = None

    def __call__(self, module: nn.Module, images: torch.Tensor, target: Path) -> None:
        free = ({0: torch.export.Dim("batch", min=1, max=1024)},)
        program = torch.onnx.export(
            *(module, (images[: self.baked],)),
            dynamo=True,
            opset_version=self.opset,
            optimize=self.optimize,
            verbose=False,
            dynamic_shapes=None if self.baked else free,
        )
        if program is None:
            raise RuntimeError("the exporter gave no program")
        target.write_bytes(program.model_proto.SerializeToString())


Exporter = Callable[[nn.Module, torch.Tensor, Path], None]

EXPORTERS: dict[str, Exporter] = {
    "legacy-17-preserve": Legacy(opset=17, preserve=True),
    "legacy-17-eval": Legacy(opset=17),
    "dynamo": Dynamo(),
    "legacy-13-preserve": Legacy(opset=13, preserve=True),
    "legacy-13-eval": Legacy(opset=13),
    "legacy-17-baked-1": Legacy(opset=17, baked=1),
    "legacy-17-baked-2": Legacy(opset=17, baked=2),
    "dynamo-18": Dynamo(opset=18),
    "dynamo-23": Dynamo(opset=23),
    "dynamo-18-unoptimised": Dynamo(opset=18, optimize=False),
    "dynamo-baked-1": Dynamo(baked=1),
    "dynamo-baked-2": Dynamo(baked=2),
}
COMMON = ("legacy-17-preserve", "legacy-17-eval", "dynamo")


def cases(library: str, names: dict[str, int]) -> Iterator[Case]:
    """The cases of `torchvision` or `timm`, all exporters of one architecture together."""
    for name in names:
        for exporter in EXPORTERS if name in SMALL else COMMON:
            yield Case(
                family=f"{library}-{exporter.partition('-')[0]}",
                model=name,
                exporter=exporter,
                write=partial(write, library, name, exporter),
            )


def write(library: str, name: str, exporter: str, target: Path) -> None:
    """Exports the seeded architecture, traced with a batch of two; what torch prints is lost."""
    module, images = torch_models.net(library, name), torch_models.images(library, name, 2)
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        EXPORTERS[exporter](module, images, target)
