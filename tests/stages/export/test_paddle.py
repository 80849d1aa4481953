"""Laws of the Paddle exporter: programs and layers become ONNX, the rest is refused in words."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stages.errors import ConfigError
from stages.export.source import ModelSource
from tests.support import exports
from tests.support.paddle_models import NATIVE, NETS

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
