"""Laws of the Paddle exporter: programs and layers become ONNX, the rest is refused in words."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import exports
import numpy as np
import pytest

from stages.errors import ConfigError
from stages.export.source import ModelSource

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

FAITHFUL = ("program", "any_size", "one_image", "with_classes", "release_2", "static")
REFUSED = {
    "two_scores": "gives float32 (8, 5), float32 (8, 5), expected exactly one float32 output",
    "two_inputs": "(-1, 3, 12, 12), paddle.float32 (-1, 5), expected one float32 input",
    "whole": "takes paddle.int64 (-1, 3, 12, 12), expected one float32 input",
    "decomposed": "unsupported operators, the conversion is aborted",
}
BUILT = {
    "svd": "unsupported operators, the conversion is aborted",
    "flatten": "has no weights, so no neurons to perturb",
    "optimiser": "returned a `SGD`, expected a `paddle.nn.Layer`",
}
BROKEN = {
    "no weights": "`no weights` holds 0 whole Paddle programs, expected one",
    "half the weights": "PaddlePaddle cannot load `inference.json`: (Unavailable) Cannot read",
    "half a program": "PaddlePaddle cannot load `inference.json`: [json.exception.parse_error",
    "half an old program": "PaddlePaddle cannot load `inference.pdmodel`: (InvalidArgument)",
    "two programs": "`two programs` holds 2 whole Paddle programs, expected one",
}


def saved(path: Path) -> ModelSource:
    """The program in a folder, or of that file."""
    return ModelSource(framework="paddle", path=path)


def built(folder: Path, function: str) -> ModelSource:
    """What a function of the Python file returns."""
    return ModelSource(framework="", path=folder / "nets.py", kind="factory", factory=function)


def damaged(models: Path, damage: str) -> Path:
    """A copy of a saved program with that damage."""
    folder = models / damage
    shutil.copytree(models / ("release_2" if "old" in damage else "program"), folder)
    weights = folder / "inference.pdiparams"
    if damage == "no weights":
        weights.unlink()
    elif damage == "two programs":
        shutil.copy(models / "release_2/inference.pdmodel", folder)
    else:
        file = weights if "weights" in damage else next(iter(folder.glob("*.[jp][sd][om]*")))
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of saved programs, and of the images and scores of those to be exported."""
    folder = tmp_path_factory.mktemp("paddle")
    (folder / "nets.py").write_text(NETS)
    command = [exports.python_of("paddle"), "-c", NATIVE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def out(models: Path) -> Path:
    """The folder with the exports of all models, made in one process, which takes seconds."""
    folder, file = models / "out", models / "program/inference"
    for name in FAITHFUL:
        exports.ask(saved(models / name), folder / name, images=models / f"{name}.npz")
    for name in REFUSED:
        exports.ask(saved(models / name), folder / name)
    for name in BROKEN:
        exports.ask(saved(damaged(models, name)), folder / name)
    for name in BUILT:
        exports.ask(built(models, name), folder / name, shape=(3, 12, 12))
    for end in (".json", ".pdiparams"):
        exports.ask(saved(file.with_suffix(end)), folder / f"file{end}")
    exports.ask(built(models, "net"), folder / "layer", images=models / "program.npz")
    exports.ask(built(models, "net"), folder / "layer without shape")
    exports.ask(saved(models / "any_size"), folder / "no size")
    exports.ask(saved(models / "program"), folder / "channels last", shape=(12, 12, 3))
    exports.answer(exports.python_of("paddle"), sorted(folder.iterdir()))
    return folder


@pytest.mark.parametrize("name", FAITHFUL)
def test_the_onnx_gives_the_native_scores(name: str, models: Path, out: Path) -> None:
    """Whatever wrote the program, its ONNX at opset 17 says what the net said before saving."""
    exported = exports.result_in(out / name)

    with np.load(models / f"{name}.npz") as native:
        np.testing.assert_allclose(exported.scores, native["scores"], rtol=1e-4, atol=1e-5)
    exports.assert_faithful(exported)
    assert [(each.domain, each.version) for each in exported.model.opset_import] == [("", 17)]
    assert {"paddle", "paddle2onnx"} <= set(exported.facts["packages"])


def test_a_layer_is_exported_as_its_program(models: Path, out: Path) -> None:
    """A layer that a function returns in train mode gives the scores it has in eval mode."""
    exported = exports.result_in(out / "layer")

    with np.load(models / "program.npz") as native:
        np.testing.assert_allclose(exported.scores, native["scores"], rtol=1e-4, atol=1e-5)
    exports.assert_faithful(exported)
    assert exported.facts["framework"] == "paddle"
    assert exported.operators == exports.result_in(out / "program").operators


@pytest.mark.parametrize("end", [".json", ".pdiparams"])
def test_either_file_names_the_program(end: str, out: Path) -> None:
    """The other file of the pair is found, and the program tells its shape, channels first."""
    exported = exports.result_in(out / f"file{end}")

    assert exported.images.shape == (8, 3, 12, 12)
    exports.assert_faithful(exported)


def test_only_the_batch_is_free(out: Path) -> None:
    """Sizes are those of the samples, and a program saved for one image takes any number."""
    for name in FAITHFUL:
        batch, *sizes = exports.result_in(out / name).input_shape

        assert isinstance(batch, str)
        assert sizes == [3, 12, 12]


@pytest.mark.parametrize("name", ["layer without shape", "no size"])
def test_a_free_size_must_be_told(name: str, out: Path) -> None:
    """A layer, and a program that leaves sizes open, need samples or a shape."""
    with pytest.raises(ConfigError, match="`--input-shape`"):
        exports.result_in(out / name)


@pytest.mark.parametrize("name", [name for name in FAITHFUL if name != "static"])
def test_batchnorm_is_kept(name: str, out: Path) -> None:
    """Both BatchNorms of the net are nodes of the file, behind their convolutions."""
    operators = exports.result_in(out / name).operators

    assert (operators.count("Conv"), operators.count("BatchNormalization")) == (2, 2)


@pytest.mark.parametrize("name", [*REFUSED, *BUILT])
def test_what_is_no_classifier_is_refused(name: str, out: Path) -> None:
    """What has no weights or no scores, or cannot become ONNX, is refused by its own words."""
    assert (REFUSED | BUILT)[name] in exports.sentence_in(out / name)


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_pair_is_refused(damage: str, out: Path) -> None:
    """A program that is not whole, or not the only one in its folder, is refused by name."""
    assert exports.sentence_in(out / damage).startswith(BROKEN[damage])


def test_images_of_another_shape_are_refused(out: Path) -> None:
    """Images with channels last are refused where the net takes them first."""
    sentence = exports.sentence_in(out / "channels last")

    assert sentence.startswith("PaddlePaddle cannot classify images of shape (8, 12, 12, 3): ")
