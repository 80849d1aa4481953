"""Laws of the transformers exporter: saved image classifiers become ONNX, BatchNorm and all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from stages.export.source import ModelSource
from stages.export.transformers import EXPORTER
from tests.support import exports
from tests.support.transformers_models import (
    MODELS,
    mobile_network,
    residual_network,
    vision_transformer,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """The same weights every time."""
    torch.manual_seed(0)


def saved(model: transformers.PreTrainedModel, folder: Path) -> ModelSource:
    """The model in a folder, its BatchNorm with statistics that are not zero and one."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    model.save_pretrained(folder)
    return ModelSource(framework="transformers", path=folder)


@pytest.mark.parametrize("name", MODELS)
def test_the_onnx_gives_the_native_scores(name: str, tmp_path: Path) -> None:
    """The file gives the logits of the model, at any batch size, in the shape it was made for."""
    model = MODELS[name]()

    exported = exports.export(saved(model, tmp_path / "model"), tmp_path / "out")

    exports.assert_faithful(exported)
    exports.assert_free_batch(exported)
    size = model.config.image_size
    assert exported.images.shape == (8, 3, size, size)
    with torch.no_grad():
        expected = model.eval()(pixel_values=torch.tensor(exported.images)).logits
    torch.testing.assert_close(torch.tensor(exported.scores), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [mobile_network, residual_network])
def test_batchnorm_is_kept(
    build: Callable[[], transformers.PreTrainedModel], tmp_path: Path
) -> None:
    """Every BatchNorm of the model is one node of the file."""
    model = build()
    count = sum(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())

    exported = exports.export(saved(model, tmp_path / "model"), tmp_path / "out", shape=(3, 32, 32))

    exports.assert_faithful(exported)
    assert exported.operators.count("BatchNormalization") == count > 0


def test_the_facts_name_transformers_and_torch(tmp_path: Path) -> None:
    """Which packages wrote the file is remembered."""
    exported = exports.export(saved(vision_transformer(), tmp_path / "model"), tmp_path / "out")

    assert exported.facts["framework"] == "transformers"
    assert {"transformers", "torch"} <= set(exported.facts["packages"])


def test_a_model_that_does_not_tell_its_size_says_so() -> None:
    """A ResNet takes images of any size, so the caller names one."""
    model = EXPORTER.prepare(residual_network())

    assert EXPORTER.input_shape(model) is None


def test_height_and_width_may_differ() -> None:
    """A pair in the configuration is height and width."""
    model = EXPORTER.prepare(vision_transformer())
    model.model.config.image_size = (16, 24)

    assert EXPORTER.input_shape(model) == (3, 16, 24)


def test_half_precision_is_exported_in_float32(tmp_path: Path) -> None:
    """A folder of bfloat16 weights gives a float32 file of the same weights."""
    source = saved(vision_transformer().to(torch.bfloat16), tmp_path / "model")

    exported = exports.export(source, tmp_path / "out")

    exports.assert_faithful(exported)


def test_samples_of_another_shape_are_refused(tmp_path: Path) -> None:
    """The sentence names the shape that was given."""
    source = saved(vision_transformer(), tmp_path / "model")

    message = exports.refused(source, tmp_path / "out", shape=(1, 16, 16))

    assert "(8, 1, 16, 16)" in message


def test_a_model_built_by_a_function_is_exported(tmp_path: Path) -> None:
    """A live model goes the same way as a saved one."""
    folder, path = tmp_path / "model", tmp_path / "own_classifier.py"
    saved(vision_transformer(), folder)
    path.write_text(
        "import transformers\n"
        "def build():\n"
        f"    return transformers.ViTForImageClassification.from_pretrained({str(folder)!r})\n"
    )
    source = ModelSource(framework="", path=path, kind="factory", factory="build")

    exported = exports.export(source, tmp_path / "out")

    exports.assert_faithful(exported)
    assert exported.facts["framework"] == "transformers"


def test_a_network_without_its_last_layer_is_refused(tmp_path: Path) -> None:
    """Weights that are not in the folder would be drawn at random; they are named instead."""
    model = transformers.ViTModel(vision_transformer().config)
    source = saved(model, tmp_path / "model")

    message = exports.refused(source, tmp_path / "out")

    assert "classifier.weight" in message


def test_what_is_no_image_classifier_is_refused(tmp_path: Path) -> None:
    """A model of text has no images; the sentence says what was expected."""
    model = transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=20,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
        )
    )
    path = tmp_path / "text.py"
    path.write_text(
        "import transformers\ndef build():\n    return transformers.BertModel(CONFIG)\n"
    )

    message = exports.refused(saved(model, tmp_path / "model"), tmp_path / "out")

    assert "cannot load an image classifier from `model`" in message
    with pytest.raises(exports.ModelRefused, match="BertForSequenceClassification"):
        EXPORTER.prepare(model)


def test_several_labels_to_an_image_are_refused() -> None:
    """Only one class may be right, or flipping to a class means nothing."""
    model = vision_transformer(problem_type="multi_label_classification")

    with pytest.raises(exports.ModelRefused, match="several labels"):
        EXPORTER.prepare(model)


def test_code_in_the_folder_is_refused(tmp_path: Path) -> None:
    """A model whose class lies in its folder is not loaded, and its code is not run."""
    folder = tmp_path / "model"
    saved(vision_transformer(), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "of_its_own",
        "auto_map": {
            "AutoConfig": "own.Config",
            "AutoModelForImageClassification": "own.Model",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")

    message = exports.refused(ModelSource(framework="transformers", path=folder), tmp_path / "out")

    assert "cannot load an image classifier" in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"broken"], ids=["missing", "empty", "text"])
def test_a_broken_folder_is_refused(name: str, content: bytes | None, tmp_path: Path) -> None:
    """A file that is missing or broken ends in one sentence that names the folder."""
    folder = tmp_path / "model"
    saved(vision_transformer(), folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)

    message = exports.refused(ModelSource(framework="transformers", path=folder), tmp_path / "out")

    assert "cannot load an image classifier from `model`" in message
