"""Writes one Paddle model as ONNX; run by path with an interpreter that has paddle2onnx.

`python export_paddle.py MODEL EXPORTER TARGET`; the exporter's name ends in the opset.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import paddle
import paddle2onnx
from paddle import nn
from paddle.vision import models

CLASSES = 10
IMAGE = [3, 64, 64]


def small_cnn() -> nn.Layer:
    return nn.Sequential(
        *(nn.Conv2D(3, 8, 3, padding=1), nn.BatchNorm2D(8), nn.ReLU(), nn.MaxPool2D(2)),
        *(nn.Conv2D(8, 16, 3, padding=1), nn.BatchNorm2D(16), nn.Hardswish(), nn.AvgPool2D(2)),
        *(nn.Flatten(), nn.Linear(16 * 16 * 16, CLASSES), nn.Softmax()),
    )


def mlp() -> nn.Layer:
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(3 * 64 * 64, 32), nn.BatchNorm1D(32), nn.ReLU()),
        *(nn.Linear(32, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, CLASSES)),
    )


MODELS = {
    "small_cnn": small_cnn,
    "mlp": mlp,
    "resnet18": lambda: models.resnet18(num_classes=CLASSES),
    "mobilenet_v2": lambda: models.mobilenet_v2(num_classes=CLASSES),
    "mobilenet_v3_small": lambda: models.mobilenet_v3_small(num_classes=CLASSES),
    "shufflenet_v2": lambda: models.shufflenet_v2_x0_25(num_classes=CLASSES),
    "squeezenet1_1": lambda: models.squeezenet1_1(num_classes=CLASSES),
    "densenet121": lambda: models.densenet121(num_classes=CLASSES),
}


def prepared(name: str) -> nn.Layer:
    """The seeded model with BatchNorm statistics from train-mode forward passes."""
    paddle.seed(7)
    model = MODELS[name]()
    model.train()
    with paddle.no_grad():
        for weight in model.parameters():
            if weight.size > 1 and float(weight.std()) == 0:
                weight.set_value(weight + 0.2 * paddle.randn(weight.shape))
        for _ in range(20):
            model(paddle.randn([8, *IMAGE]))
    model.eval()
    return model


def main() -> None:
    name, exporter, target = sys.argv[1:]
    spec = [paddle.static.InputSpec([None, *IMAGE], "float32", "x")]
    net = paddle.jit.to_static(prepared(name), input_spec=spec, full_graph=True)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "net"
        paddle.jit.save(net, str(saved))
        paddle2onnx.export(
            str(saved.with_suffix(".json")),
            str(saved.with_suffix(".pdiparams")),
            target,
            opset_version=int(exporter.rpartition("-")[2]),
        )


if __name__ == "__main__":
    main()
