"""Programs for the interpreter that has PaddlePaddle: its nets, and what saves them."""

from __future__ import annotations

NETS = '''
import numpy as np
import paddle
from paddle import nn

IMAGES = np.random.default_rng(0).standard_normal((8, 3, 12, 12)).astype("float32")
paddle.seed(0)


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2D(3, 8, 3, padding=1), nn.BatchNorm2D(8), nn.ReLU(), nn.MaxPool2D(2),
            nn.Conv2D(8, 16, 3, padding=1, bias_attr=False), nn.BatchNorm2D(16), nn.Hardswish(),
            nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Dropout(), nn.Linear(16, 5),
        )

    def forward(self, x):
        return self.body(x)


class WithClasses(Net):
    def forward(self, x):
        scores = self.body(x)
        return scores.argmax(-1), nn.functional.softmax(scores)


class TwoScores(Net):
    def forward(self, x):
        scores = self.body(x)
        return scores, nn.functional.softmax(scores)


class TwoInputs(Net):
    def forward(self, x, shift):
        return self.body(x) + shift


class Whole(Net):
    def forward(self, x):
        return self.body(x.cast("float32"))


class Decomposed(Net):
    def forward(self, x):
        return self.body(x) + paddle.linalg.svd(x[:, 0])[1][:, :5]


def trained(layer):
    """The layer with statistics of BatchNorm that are neither zero nor one, in train mode."""
    layer.train()
    layer(paddle.to_tensor(3 * IMAGES + 1))
    return layer


def net():
    return trained(Net())


def with_classes():
    return trained(WithClasses())


def svd():
    return Decomposed()


def flatten():
    return nn.Flatten()


def optimiser():
    return paddle.optimizer.SGD(parameters=Net().parameters())
'''
NATIVE = """
import sys
from pathlib import Path

import numpy as np
import paddle
from paddle.static import InputSpec

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
import nets


def keep(name, layer, scores, *shapes, dtype="float32"):
    layer.eval()
    if scores is not None:
        given = layer(paddle.to_tensor(nets.IMAGES))
        np.savez(folder / f"{name}.npz", images=nets.IMAGES, scores=scores(given).numpy())
    specs = [InputSpec(shape, dtype, name=f"x{k}") for k, shape in enumerate(shapes)]
    (folder / name).mkdir()
    paddle.jit.save(layer, str(folder / name / "inference"), input_spec=specs)


image = [None, 3, 12, 12]
net = nets.net()
keep("program", net, lambda given: given, image)
keep("any_size", net, lambda given: given, [None, 3, None, None])
keep("one_image", net, lambda given: given, [1, 3, 12, 12])
keep("with_classes", nets.with_classes(), lambda given: given[1], image)
with paddle.pir_utils.DygraphOldIrGuard():
    keep("release_2", nets.net(), lambda given: given, image)
keep("two_scores", nets.TwoScores(), None, image)
keep("two_inputs", nets.TwoInputs(), None, image, [None, 5])
keep("whole", nets.Whole(), None, image, dtype="int64")
keep("decomposed", nets.Decomposed(), None, image)

paddle.enable_static()
main, start = paddle.static.Program(), paddle.static.Program()
with paddle.static.program_guard(main, start):
    x = paddle.static.data("x", image)
    y = paddle.static.nn.fc(paddle.nn.functional.relu(paddle.static.nn.fc(x, 16)), 5)
    executor = paddle.static.Executor()
    executor.run(start)
    (folder / "static").mkdir()
    paddle.static.save_inference_model(str(folder / "static/net"), [x], [y], executor, program=main)
    (scores,) = executor.run(main, feed={"x": nets.IMAGES}, fetch_list=[y])
    np.savez(folder / "static.npz", images=nets.IMAGES, scores=scores)
"""
