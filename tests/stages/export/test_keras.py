"""Laws of the Keras exporter: files of both formats become ONNX faithfully on every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.export.keras import EXPORTER, keras
from stages.export.source import ModelSource
from tests.support import exports
from tests.support.keras_models import MODELS, convolutions, perceptron

layers = keras.layers

pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() != "torch", reason="what these tests build in process runs on torch"
    ),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

FOREIGN = ["here", "tensorflow"]
"""The interpreter of the tests, which has torch, and the one that has TensorFlow."""


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    """The same weights every time, and no names that depend on earlier tests."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    return


def python_on(backend: str, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The interpreter for a backend, told to take it; None is this one."""
    if backend == "here":
        return None
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    return exports.python_of(backend)


def saved(model: Any, path: Path) -> ModelSource:
    """The model in a file, its BatchNorm with statistics that are not zero and one."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 2.0, one.shape) for one in layer.get_weights()])
    model.save(path)
    return ModelSource(framework="keras", path=path)


@pytest.mark.parametrize("backend", FOREIGN)
@pytest.mark.parametrize("name", MODELS)
def test_the_onnx_gives_the_native_scores(
    name: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every backend, at any batch size, the file computes what the model does."""
    model, python = MODELS[name](), python_on(backend, monkeypatch)
    source = saved(model, tmp_path / "model.keras")

    exported = exports.export(source, tmp_path / "out", python=python)

    exports.assert_faithful(exported)
    exports.assert_free_batch(exported)
    expected = keras.ops.convert_to_numpy(model(exported.images, training=False))
    np.testing.assert_allclose(exported.scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", FOREIGN)
def test_both_file_formats_give_the_same_scores(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.h5` holds the same model as `.keras`."""
    model, python = convolutions(), python_on(backend, monkeypatch)

    exported = [
        exports.export(saved(model, tmp_path / name), tmp_path / f"{name} out", python=python)
        for name in ("model.keras", "model.h5")
    ]

    exports.assert_faithful(exported[1])
    np.testing.assert_allclose(exported[0].scores, exported[1].scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("backend", "packages"), [("here", {"keras", "torch"}), ("tensorflow", {"keras", "tf2onnx"})]
)
def test_the_facts_name_keras_and_its_backend(
    backend: str, packages: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which packages wrote the file is remembered."""
    python = python_on(backend, monkeypatch)

    exported = exports.export(
        saved(perceptron(), tmp_path / "model.keras"), tmp_path / "out", python=python
    )

    assert exported.facts["framework"] == "keras"
    assert packages <= set(exported.facts["packages"])


def test_the_layout_of_the_input_is_kept(tmp_path: Path) -> None:
    """Images stay (N, H, W, C), as the native model takes them."""
    exported = exports.export(saved(convolutions(), tmp_path / "model.keras"), tmp_path / "out")

    assert exported.images.shape == (8, 11, 11, 3)
    assert exported.input_shape[1:] == (11, 11, 3)


@pytest.mark.parametrize("backend", FOREIGN)
def test_a_free_image_size_needs_samples_or_a_shape(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fully convolutional model does not tell its size; the caller does."""
    model = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()]
    )
    python = python_on(backend, monkeypatch)
    source = saved(model, tmp_path / "model.keras")

    exported = exports.export(source, tmp_path / "out", python=python, shape=(9, 9, 3))

    assert EXPORTER.input_shape(model) is None
    exports.assert_faithful(exported)


def test_samples_of_another_shape_are_refused(tmp_path: Path) -> None:
    """The sentence names the shape that was given."""
    source = saved(convolutions(), tmp_path / "model.keras")

    message = exports.refused(source, tmp_path / "out", shape=(3, 12, 12))

    assert "(8, 3, 12, 12)" in message


def test_a_function_gets_the_backend_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `KERAS_BACKEND`, the user's own `import keras` runs on what there is."""
    monkeypatch.delenv("KERAS_BACKEND")
    path = tmp_path / "own_network.py"
    path.write_text(
        "import keras\n"
        "def build():\n"
        "    layers = [keras.Input((6,)), keras.layers.Dense(3)]\n"
        "    return keras.Sequential(layers)\n"
    )
    source = ModelSource(framework="", path=path, kind="factory", factory="build")

    exported = exports.export(source, tmp_path / "out", python=exports.this_python())

    exports.assert_faithful(exported)
    assert exported.facts["framework"] == "keras"
    assert "torch" in exported.facts["packages"]


def test_a_subclassed_model_is_exported_with_a_shape(tmp_path: Path) -> None:
    """A model without a graph of layers does not tell its input, but is traced all the same."""
    path = tmp_path / "subclass.py"
    path.write_text(
        "import keras\n"
        "class Network(keras.Model):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.dense = keras.layers.Dense(3)\n"
        "    def call(self, images):\n"
        "        return self.dense(images)\n"
    )
    source = ModelSource(framework="", path=path, kind="factory", factory="Network")

    exported = exports.export(source, tmp_path / "out", shape=(6,))

    exports.assert_faithful(exported)


def test_a_stored_function_is_refused(tmp_path: Path) -> None:
    """Bytecode in a file stays unopened; the sentence names the way round."""
    model = keras.Sequential(
        [keras.Input((6,)), layers.Lambda(lambda values: 2 * values), layers.Dense(3)]
    )

    message = exports.refused(saved(model, tmp_path / "model.keras"), tmp_path / "out")

    assert "Lambda" in message
    assert "FILE.py:FUNCTION" in message


def two_inputs() -> Any:
    """A model of two images."""
    images = [keras.Input((4,)), keras.Input((4,))]
    return keras.Model(images, layers.Dense(3)(layers.Add()(images)))


def two_outputs() -> Any:
    """A model with two heads."""
    image = keras.Input((4,))
    return keras.Model(image, [layers.Dense(3)(image), layers.Dense(2)(image)])


def of_integers() -> Any:
    """A model of words."""
    words = keras.Input((4,), dtype="int32")
    return keras.Model(words, layers.Dense(3)(layers.Flatten()(layers.Embedding(9, 2)(words))))


@pytest.mark.parametrize("build", [two_inputs, two_outputs, of_integers])
def test_other_inputs_and_outputs_are_refused(build: Callable[[], Any], tmp_path: Path) -> None:
    """One float input and one output make a classifier; what there is instead is listed."""
    message = exports.refused(saved(build(), tmp_path / "model.keras"), tmp_path / "out")

    assert "expected one float32 input and one output" in message
    assert "(None, 4)" in message


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04"], ids=["empty", "text", "cut"])
def test_a_broken_file_is_refused(content: bytes, name: str, tmp_path: Path) -> None:
    """Whatever is wrong in a file ends in one sentence that names it."""
    path = tmp_path / name
    path.write_bytes(content)

    message = exports.refused(ModelSource(framework="keras", path=path), tmp_path / "out")

    assert f"Keras cannot load `{name}`" in message


def test_a_layer_that_is_not_known_is_refused(tmp_path: Path) -> None:
    """A file of a layer whose code is not here says which."""
    source = saved(perceptron(), tmp_path / "model.keras")
    exports.rewrite_member(source.path, "config.json", lambda text: text.replace("Dense", "Gone"))

    message = exports.refused(source, tmp_path / "out")

    assert "Gone" in message
    assert "FILE.py:FUNCTION" in message
