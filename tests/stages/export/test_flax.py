"""Laws of the Flax exporter: modules with weights become ONNX, the rest is refused in words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from stages.errors import ConfigError
from stages.export.source import ModelSource
from tests.support import exports
from tests.support.flax_models import NATIVE, NETS

FAITHFUL = ("net", "with_classes", "linen_net")
REFUSED = {
    "features": "gives float32 (8, 3, 3, 16), expected exactly one float32 output (batch, classes)",
    "decomposed": "jax2onnx cannot convert the `Sorted`: ",
    "no_weights": "the `Pool` has no weights, so no neurons to perturb",
    "needs_more": "missing 1 required positional argument: 'train'",
    "unbound": "returned a `Linen`, expected an `nnx.Module` or a `linen` module with weights",
    "variables": "returned a `State`, expected an `nnx.Module`",
}


def built(folder: Path, function: str) -> ModelSource:
    """What a function of the Python file returns."""
    return ModelSource(framework="", path=folder / "nets.py", kind="factory", factory=function)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `nets.py`, and of the images and scores of the nets to be exported."""
    folder = tmp_path_factory.mktemp("flax")
    (folder / "nets.py").write_text(NETS)
    command = [exports.python_of("flax"), "-c", NATIVE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def out(models: Path) -> Path:
    """The folder with the exports of all nets, made in one process, which takes seconds."""
    folder = models / "out"
    for name in FAITHFUL:
        exports.ask(built(models, name), folder / name, images=models / f"{name}.npz")
    for name in REFUSED:
        exports.ask(built(models, name), folder / name, shape=(12, 12, 3))
    exports.ask(built(models, "net"), folder / "channels first", shape=(3, 12, 12))
    exports.ask(built(models, "net"), folder / "no shape")
    checkpoint = ModelSource(framework="flax", path=models / "weights.msgpack")
    exports.ask(checkpoint, folder / "file", shape=(12, 12, 3))
    exports.answer(exports.python_of("flax"), sorted(folder.iterdir()))
    return folder


@pytest.mark.parametrize("name", FAITHFUL)
def test_the_onnx_gives_the_native_scores(name: str, models: Path, out: Path) -> None:
    """Modules of both kinds become ONNX at opset 17 that says what the net says in eval mode."""
    exported = exports.result_in(out / name)

    with np.load(models / f"{name}.npz") as native:
        np.testing.assert_allclose(exported.scores, native["scores"], rtol=1e-4, atol=1e-5)
    exports.assert_faithful(exported)
    assert [(each.domain, each.version) for each in exported.model.opset_import] == [("", 17)]
    assert {"flax", "jax", "jax2onnx"} <= set(exported.facts["packages"])


def test_only_the_batch_is_free(out: Path) -> None:
    """The sizes of the input are those of the samples, channels last."""
    for name in FAITHFUL:
        assert exports.result_in(out / name).input_shape == ("B", 12, 12, 3)


def test_normalisation_is_kept(out: Path) -> None:
    """Every BatchNorm and LayerNorm of a module is a node of the file."""
    net, linen_net = (exports.result_in(out / name).operators for name in ("net", "linen_net"))

    assert (net.count("BatchNormalization"), net.count("LayerNormalization")) == (2, 1)
    assert linen_net.count("BatchNormalization") == 1


def test_pools_are_kept(out: Path) -> None:
    """Pools are nodes of the file, whether their window was given by position or by name."""
    net, linen_net = (exports.result_in(out / name).operators for name in ("net", "linen_net"))

    assert (net.count("MaxPool"), net.count("AveragePool")) == (1, 2)
    assert linen_net.count("AveragePool") == 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_classifier_is_refused(name: str, out: Path) -> None:
    """What has no weights or no scores, or cannot become ONNX, is refused by its own words."""
    assert REFUSED[name] in exports.sentence_in(out / name)


def test_images_of_another_shape_are_refused(out: Path) -> None:
    """Images with channels first are refused where the net takes them last."""
    sentence = exports.sentence_in(out / "channels first")

    assert sentence.startswith("Flax cannot classify images of shape (8, 3, 12, 12): ")


def test_the_shape_must_be_told(out: Path) -> None:
    """A module does not know its input, so samples or a shape have to say it."""
    with pytest.raises(ConfigError, match="`--input-shape`"):
        exports.result_in(out / "no shape")


def test_there_is_no_file_to_load(out: Path) -> None:
    """A file is refused with the way that leads on: a function that builds the network."""
    sentence = exports.sentence_in(out / "file")

    assert sentence.startswith("`weights.msgpack` cannot be a whole Flax model")
    assert sentence.endswith("as FILE.py:FUNCTION")
