"""Laws of the TensorFlow exporter: a SavedModel becomes ONNX, or is refused in one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from stages.errors import ConfigError
from stages.export.source import ModelSource
from tests.support import exports
from tests.support.tensorflow_models import NATIVE

FACTORY = """
import tensorflow as tf


class Net(tf.Module):
    def __init__(self):
        self.dense = tf.Variable(tf.random.stateless_normal((6, 5), (1, 2)))

    @tf.function(input_signature=[tf.TensorSpec((None, 6), tf.float32)])
    def __call__(self, x):
        return tf.nn.relu(x) @ self.dense


def build():
    return Net()


def shape():
    return tf.TensorShape((1, 2))
"""

FAITHFUL = ("keras", "module", "any_size", "any_rank", "one_name", "default_first", "release_1")
REFUSED = {
    "two_names": "has `classify`, `text` for signatures, expected `serving_default`",
    "OneImage": "takes images of shape (1, 12, 12, 3), expected any number",
    "Bytes": "takes `x: uint8 (None, 12, 12, 3)`, expected one float32 input",
    "Text": "takes `x: string (None,)`, expected one float32 input",
    "TwoScores": "expected exactly one float32 output (batch, classes)",
    "Table": "have no counterpart in ONNX",
    "Silent": "has nothing for signatures",
}
BROKEN = ("no model", "half a model", "no variables", "half a variable")


def saved(folder: Path) -> ModelSource:
    """The SavedModel in a folder."""
    return ModelSource(framework="tensorflow", path=folder)


def built(folder: Path, function: str) -> ModelSource:
    """What a function of a Python file returns."""
    path = folder / "nets.py"
    path.write_text(FACTORY)
    return ModelSource(framework="", path=path, kind="factory", factory=function)


def damaged(whole: Path, damage: str) -> Path:
    """A copy of a SavedModel with that damage."""
    folder = whole.parent / damage
    shutil.copytree(whole, folder)
    if damage == "no variables":
        shutil.rmtree(folder / "variables")
        return folder
    (data,) = (folder / "variables").glob("*.data*")
    file = data if "variable" in damage else folder / "saved_model.pb"
    content = file.read_bytes()
    file.write_bytes(b"text" if damage == "no model" else content[: len(content) // 2])
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of SavedModels, and of the images and scores of those to be exported."""
    folder = tmp_path_factory.mktemp("tensorflow")
    command = [exports.python_of("tensorflow"), "-c", NATIVE, str(folder)]
    done = exports.run_foreign(command)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def out(models: Path) -> Path:
    """The folder with the exports of all models, made in one process, which takes seconds."""
    folder = models / "out"
    for name in FAITHFUL:
        exports.ask(saved(models / name), folder / name, images=models / f"{name}.npz")
    for name in (*REFUSED, *(damaged(models / "module", each).name for each in BROKEN)):
        exports.ask(saved(models / name), folder / name)
    for name in ("build", "shape"):
        exports.ask(built(models, name), folder / name)
    exports.ask(saved(models / "module"), folder / "without samples")
    exports.ask(saved(models / "module"), folder / "channels first", shape=(3, 12, 12))
    exports.ask(saved(models / "any_size"), folder / "no size")
    exports.ask(saved(models / "any_rank"), folder / "no rank")
    exports.answer(exports.python_of("tensorflow"), sorted(folder.iterdir()))
    return folder


@pytest.mark.parametrize("name", FAITHFUL)
def test_the_onnx_gives_the_native_scores(name: str, models: Path, out: Path) -> None:
    """Whatever wrote the SavedModel, its ONNX at opset 17 says what the net said before saving."""
    exported = exports.result_in(out / name)

    with np.load(models / f"{name}.npz") as native:
        np.testing.assert_allclose(exported.scores, native["scores"], rtol=1e-4, atol=1e-5)
    exports.assert_faithful(exported)
    assert {each.domain: each.version for each in exported.model.opset_import}[""] == 17
    assert {"tensorflow", "tf2onnx"} <= set(exported.facts["packages"])


def test_the_signature_tells_the_shape(out: Path) -> None:
    """Without samples the net is asked about images as its signature has them, channels last."""
    exported = exports.result_in(out / "without samples")

    assert exported.images.shape == (8, 12, 12, 3)
    assert exported.input_shape[1:] == (12, 12, 3)
    exports.assert_faithful(exported)


def test_samples_fix_the_sizes_a_signature_leaves_free(out: Path) -> None:
    """Only the batch stays free: height and width are those of the samples."""
    for name in ("any_size", "any_rank"):
        batch, *sizes = exports.result_in(out / name).input_shape

        assert isinstance(batch, str)
        assert sizes == [12, 12, 3]


@pytest.mark.parametrize("name", ["no size", "no rank"])
def test_a_free_size_must_be_told(name: str, out: Path) -> None:
    """Where the signature leaves sizes open and there are no samples, a shape is asked for."""
    with pytest.raises(ConfigError, match="`--input-shape`"):
        exports.result_in(out / name)


def test_batchnorm_goes_into_the_convolution_before_it(out: Path) -> None:
    """Of two BatchNorms the one behind the convolution is folded, the one behind the ReLU kept."""
    exported = exports.result_in(out / "module")

    assert exported.operators.count("Conv") == 1
    assert exported.operators.count("BatchNormalization") == 1


def test_a_function_may_return_a_module(out: Path) -> None:
    """A `tf.Module` from Python code is exported as if it had been saved first."""
    exported = exports.result_in(out / "build")

    assert exported.facts["framework"] == "tensorflow"
    assert exported.images.shape == (8, 6)
    exports.assert_faithful(exported)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_classifier_is_refused(name: str, out: Path) -> None:
    """What does not turn float32 images into scores by operations of ONNX is refused in words."""
    assert REFUSED[name] in exports.sentence_in(out / name)


def test_images_of_another_shape_are_refused(out: Path) -> None:
    """Images with channels first are refused where the net takes them last."""
    sentence = exports.sentence_in(out / "channels first")

    assert "cannot classify images of shape (8, 3, 12, 12)" in sentence


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_folder_is_refused(damage: str, out: Path) -> None:
    """A SavedModel that is not whole is refused with its name and what to do."""
    sentence = exports.sentence_in(out / damage)

    assert sentence.startswith(f"TensorFlow cannot load the SavedModel `{damage}`: ")
    assert sentence.endswith("save it again, with its folder `variables`")


def test_what_cannot_be_saved_is_refused(out: Path) -> None:
    """An object of TensorFlow without a function to call is refused by its type."""
    sentence = exports.sentence_in(out / "shape")

    assert sentence.startswith("TensorFlow cannot save the `TensorShape`: ")
