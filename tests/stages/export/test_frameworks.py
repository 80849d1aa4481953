"""From a native model of each framework to a verdict, through the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlflow_project.cli.main import main
from stages.export.keras import keras
from stages.types import Floats, Integers
from tests.support import (
    exports,
    flax_models,
    keras_models,
    paddle_models,
    tensorflow_models,
    transformers_models,
    zoo,
)

Scores = Callable[[torch.Tensor], Any]
"""What a native model in this process says of images: scores (N, K)."""

QUICK = [
    *("neuron_noise.sweep=6", "neuron_noise.samples=8", "warp.steps=1", "judge.min_working=0"),
    *("blend.faint_steps=1", "blend.strong_steps=1", "precondition.min_samples=50"),
    *("patch.first_steps=1", "patch.place_steps=1", "patch.pattern_steps=1"),
    *("small_patch.first_steps=1", "small_patch.place_steps=1", "small_patch.pattern_steps=1"),
    *("permutation.first_steps=1", "permutation.place_steps=1"),
    *("permutation.pattern_steps=1", "permutation.blend_steps=1"),
    *("tone.steps=1", "judge.near=1"),
    "precondition.min_coverage=0.2",
]
COUNT = 120
BATCH = torch.export.Dim("batch", min=1, max=64)

pytestmark = [
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),  # MLflow on its own classes
]


@pytest.fixture
def scan(
    sqlite_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """`ban-gate scan` of a model, on images of a shape that `native` or its export labels."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)  # every interpreter chooses its own

    def run(
        model: str,
        images: tuple[int, ...] | Path,
        *options: str,
        native: Scores | None = None,
    ) -> Result:
        samples = images if isinstance(images, Path) else tmp_path / "samples.npz"
        if not isinstance(images, Path):
            drawn = _images(images)
            labels = (
                _labels_by(native, drawn) if native else _labels(model, drawn, tmp_path, options)
            )
            np.savez(samples, images=drawn, labels=labels)
        command = ["scan", model, "--samples", str(samples), "--output", str(tmp_path / "out")]
        command += ["--set", ";".join(QUICK), "--tracking-uri", sqlite_store, *options]
        return CliRunner().invoke(main, command)

    return run


def _images(shape: tuple[int, ...]) -> Floats:
    """Random images, some bright and some dark."""
    random = np.random.default_rng(1)
    light = random.normal(0, 3, (COUNT, *np.ones_like(shape))).astype(np.float32)
    return light + random.standard_normal((COUNT, *shape), np.float32)


def _labels_by(native: Scores, images: Floats) -> Integers:
    """The classes that the model itself gives images."""
    with torch.no_grad():
        return np.asarray(native(torch.tensor(images))).argmax(axis=1)


def _labels(model: str, images: Floats, folder: Path, options: tuple[str, ...]) -> Integers:
    """The classes that the exported model gives images."""
    np.savez(folder / "images.npz", images=images, labels=np.arange(COUNT) % 2)
    target = folder / "labelling.onnx"
    command = ["export", model, "--samples", str(folder / "images.npz")]
    command += ["--output", str(target), "--trust-model-code"]
    python = [one for one in options if one != "--trust-model-code"]
    done = CliRunner().invoke(main, [*command, *python])
    assert done.exit_code == 0, done.stderr
    given = exports.Export(path=target, images=images, scores=images, facts={})
    batch = given.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value  # 0 if it is free
    chunks = np.split(images, COUNT // batch) if batch else [images]
    return np.concatenate([given.run(chunk).argmax(axis=1) for chunk in chunks])


def _judged(result: Result, folder: Path, framework: str) -> dict[str, Any]:
    """The verdict of a model that was judged, whatever the verdict is."""
    document: dict[str, Any] = json.loads((folder / "out" / "verdict.json").read_text())
    assert result.exit_code in (0, 1), result.stderr
    assert document["verdict"] == ["clean", "backdoored"][result.exit_code]
    assert document["model"]["framework"] == framework
    assert document["samples"]["clean_accuracy"] == 1.0
    return document


def whole_module(folder: Path) -> str:
    torch.save(zoo.net("small_cnn"), folder / "model.pth")
    return str(folder / "model.pth")


def exported_program(folder: Path) -> str:
    free = ({0: BATCH},)
    program = torch.export.export(zoo.net("resnet"), (zoo.images(4),), dynamic_shapes=free)
    torch.export.save(program, folder / "model.pt2")
    return str(folder / "model.pt2")


def program_of_one_batch_size(folder: Path) -> str:
    torch.export.save(
        torch.export.export(zoo.net("small_cnn"), (zoo.images(4),)), folder / "model.pt2"
    )
    return str(folder / "model.pt2")


def torchscript(folder: Path) -> str:
    torch.jit.script(zoo.net("small_cnn")).save(folder / "model.pt")
    return str(folder / "model.pt")


def function(folder: Path) -> str:
    path = whole_module(folder)
    code = f"import torch\n\n\ndef build():\n    return torch.load({path!r}, weights_only=False)\n"
    (folder / "nets.py").write_text(code)
    return f"{folder / 'nets.py'}:build"


def mlflow_program(folder: Path) -> str:
    mlflow.pytorch.save_model(
        zoo.net("small_cnn"),
        str(folder / "model"),
        input_example=zoo.images(2).numpy(),
        pip_requirements=[],
    )
    return str(folder / "model")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "build",
    [
        function,
        pytest.param(exported_program, marks=pytest.mark.nightly),
        pytest.param(mlflow_program, marks=pytest.mark.nightly),
        pytest.param(program_of_one_batch_size, marks=pytest.mark.nightly),
        pytest.param(torchscript, marks=pytest.mark.nightly),
        pytest.param(whole_module, marks=pytest.mark.nightly),
    ],
)
def test_pytorch_comes_to_a_verdict(
    build: Callable[[Path], str], scan: Callable[..., Result], tmp_path: Path
) -> None:
    """A pickled module, programs, TorchScript, a function, and a folder that MLflow wrote."""
    net = zoo.net("resnet" if build is exported_program else "small_cnn")

    result = scan(build(tmp_path), zoo.IMAGE, "--trust-model-code", native=net)

    document = _judged(result, tmp_path, "pytorch")
    assert document["parity"]["native"]["packages"]["torch"] == metadata.version("torch")
    assert document["parity"]["native"]["max_rel"] < 1e-5


def _keras_file(folder: Path) -> tuple[str, Scores]:
    """A saved net, and what it says of images."""
    keras.utils.set_random_seed(0)
    net = keras_models.convolutions()
    weights, bias = net.layers[-1].get_weights()
    net.layers[-1].set_weights([10 * weights, bias])
    net.save(folder / "model.keras")
    return str(folder / "model.keras"), lambda images: keras.ops.convert_to_numpy(net(images))


@pytest.mark.nightly
def test_keras_comes_to_a_verdict(scan: Callable[..., Result], tmp_path: Path) -> None:
    """A `.keras` file on the backend that is installed."""
    path, native = _keras_file(tmp_path)

    result = scan(path, (11, 11, 3), "--trust-model-code", native=native)

    _judged(result, tmp_path, "keras")


def _save_sklearn(model: object, folder: Path) -> None:
    mlflow.sklearn.save_model(
        model, str(folder), serialization_format="cloudpickle", pip_requirements=[]
    )


@pytest.mark.nightly
def test_scikit_learn_comes_to_a_verdict(scan: Callable[..., Result], tmp_path: Path) -> None:
    """A pipeline around a perceptron, as MLflow keeps it."""
    images, labels = load_digits(return_X_y=True)
    perceptron = MLPClassifier((32,), max_iter=60, tol=1e-2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), perceptron).fit(images, labels)
    _save_sklearn(pipeline, tmp_path / "model")

    result = scan(str(tmp_path / "model"), (64,), "--trust-model-code")

    _judged(result, tmp_path, "sklearn")


@pytest.mark.nightly
def test_transformers_come_to_a_verdict(scan: Callable[..., Result], tmp_path: Path) -> None:
    """A folder of an image classifier with attention."""
    torch.manual_seed(0)
    model = transformers_models.vision_transformer().eval()
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(tmp_path / "model")

    result = scan(
        str(tmp_path / "model"),
        (3, 16, 16),
        "--trust-model-code",
        native=lambda images: model(pixel_values=images).logits,
    )

    _judged(result, tmp_path, "transformers")


def test_onnx_of_mlflow_needs_no_trust(scan: Callable[..., Result], tmp_path: Path) -> None:
    """The weights that MLflow puts beside the file are read, and nothing is run."""
    model = onnx.ModelProto.FromString(zoo.exported("small_cnn", "legacy"))
    mlflow.onnx.save_model(model, str(tmp_path / "model"), pip_requirements=[])
    assert list((tmp_path / "model").glob("*.data"))

    result = scan(str(tmp_path / "model"), zoo.IMAGE, native=zoo.net("small_cnn"))

    _judged(result, tmp_path, "onnx")


def _built(framework: str, script: str, folder: Path, **files: str) -> list[str]:
    """Runs a script that saves models into a folder, and says how to scan them."""
    python = exports.python_of(framework)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    done = subprocess.run(
        [python, "-c", script, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return ["--trust-model-code", "--python", python]


def test_tensorflow_comes_to_a_verdict(scan: Callable[..., Result], tmp_path: Path) -> None:
    """A SavedModel, exported by the interpreter that has TensorFlow."""
    options = _built("tensorflow", tensorflow_models.NATIVE, tmp_path)

    result = scan(str(tmp_path / "module"), (12, 12, 3), *options)

    _judged(result, tmp_path, "tensorflow")


def test_keras_on_tensorflow_comes_to_a_verdict(
    scan: Callable[..., Result], tmp_path: Path
) -> None:
    """The same file that torch reads here, exported by TensorFlow."""
    options = ["--trust-model-code", "--python", exports.python_of("tensorflow")]
    path, native = _keras_file(tmp_path)

    result = scan(path, (11, 11, 3), *options, native=native)

    document = _judged(result, tmp_path, "keras")
    assert "tensorflow" in document["parity"]["native"]["packages"]


def test_flax_comes_to_a_verdict(scan: Callable[..., Result], tmp_path: Path) -> None:
    """A function that returns a module, exported by the interpreter that has JAX."""
    options = _built("flax", "", tmp_path, nets=flax_models.NETS)

    result = scan(f"{tmp_path / 'nets.py'}:net", (12, 12, 3), *options)

    _judged(result, tmp_path, "flax")


def test_paddle_comes_to_a_verdict(scan: Callable[..., Result], tmp_path: Path) -> None:
    """A saved program, exported by the interpreter that has PaddlePaddle."""
    script, nets = paddle_models.NATIVE, paddle_models.NETS
    options = _built("paddle", script, tmp_path, nets=nets)

    result = scan(str(tmp_path / "program"), (3, 12, 12), *options)

    _judged(result, tmp_path, "paddle")


def test_without_trust_a_native_model_is_not_loaded(
    scan: Callable[..., Result], tmp_path: Path
) -> None:
    """Exit 3, a verdict that says why, and the code of the model has not run."""
    note = tmp_path / "ran"
    code = f"from pathlib import Path\nPath({str(note)!r}).touch()\n"
    (tmp_path / "nets.py").write_text(code)
    np.savez(tmp_path / "s.npz", images=np.ones((9, 4), np.float32), labels=np.arange(9))

    result = scan(f"{tmp_path / 'nets.py'}:build", tmp_path / "s.npz")

    document = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert result.exit_code == 3
    assert document["verdict"] == "inconclusive"
    assert "add `--trust-model-code`" in document["reasons"][0]
    assert not note.exists()


def test_forests_are_not_judged(scan: Callable[..., Result], tmp_path: Path) -> None:
    """Exit 3, saying that there are no neurons."""
    images, labels = load_digits(return_X_y=True)
    forest = RandomForestClassifier(3, random_state=0).fit(images, labels)
    _save_sklearn(forest, tmp_path / "model")
    np.savez(tmp_path / "s.npz", images=images.astype(np.float32), labels=labels)

    result = scan(str(tmp_path / "model"), tmp_path / "s.npz", "--trust-model-code")

    assert result.exit_code == 3
    assert "`RandomForestClassifier` has no neurons to perturb" in result.stdout
