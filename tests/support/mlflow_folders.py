"""Models of every flavour as MLflow writes them into folders."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import transformers
from sklearn.neural_network import MLPClassifier
from torch import nn

from stages.export.keras import keras

CLASSES = 3
IMAGES = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)


def save(flavour: str, model: object, folder: Path, **options: Any) -> None:
    """Saves with MLflow, whose warnings are its own.

    Without given requirements MLflow loads the model again in a process that sees what it imports.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer = importlib.import_module(f"mlflow.{flavour}")
        writer.save_model(model, str(folder), pip_requirements=[], **options)


def network() -> nn.Module:
    """A convolution with BatchNorm, pooled, and a linear layer, in eval mode."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, CLASSES)).eval()


def perceptron() -> MLPClassifier:
    """A fitted multilayer perceptron of 6 features."""
    points, labels = np.random.default_rng(0).random((60, 6)), np.arange(60) % CLASSES
    return MLPClassifier((8,), solver="lbfgs", max_iter=2000, random_state=0).fit(points, labels)


def as_onnx(folder: Path) -> None:
    """Writes an ONNX model with its weights in a file of their own."""
    path = folder.with_suffix(".onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network(), (torch.tensor(IMAGES),), str(path), dynamo=False)
    save("onnx", onnx.load(path), folder)


def as_program(folder: Path) -> None:
    """Writes a torch model in the default format, an exported program."""
    save("pytorch", network(), folder, input_example=IMAGES)


def as_pickled_module(folder: Path) -> None:
    """Writes a torch model through MLflow's own pickle module."""
    save("pytorch", network(), folder, serialization_format="pickle")


def as_torchscript(folder: Path) -> None:
    """Writes a traced torch model, under the same file name as a pickled one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network(), torch.tensor(IMAGES))
    save("pytorch", traced, folder, serialization_format="pickle")


def as_skops(folder: Path) -> None:
    """Writes a scikit-learn model in the default format."""
    optimizer = "sklearn.neural_network._stochastic_optimizers.AdamOptimizer"
    model, points = MLPClassifier((8,), max_iter=2, random_state=0), np.eye(6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(points, np.arange(6) % CLASSES)
    save("sklearn", model, folder, skops_trusted_types=[optimizer])


def as_cloudpickle(folder: Path) -> None:
    """Writes a scikit-learn model as a pickle."""
    save("sklearn", perceptron(), folder, serialization_format="cloudpickle")


def as_keras(folder: Path) -> None:
    """Writes a Keras model."""
    layers = [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
    save("keras", keras.Sequential(layers), folder)


def as_transformers(folder: Path) -> None:
    """Writes an image classifier with its processor."""
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
        num_labels=CLASSES,
    )
    parts = {
        "model": transformers.ViTForImageClassification(config),
        "image_processor": transformers.ViTImageProcessor(size={"height": 16, "width": 16}),
    }
    save("transformers", parts, folder, task="image-classification")


WRITTEN: dict[Callable[[Path], None], tuple[str, str, str]] = {
    as_onnx: ("onnx", "model.onnx", "mlflow"),
    as_program: ("pytorch", "data/model.pt2", "program"),
    as_pickled_module: ("pytorch", "data/model.pth", "module"),
    as_torchscript: ("pytorch", "data/model.pth", "torchscript"),
    as_skops: ("sklearn", "model.skops", "skops"),
    as_cloudpickle: ("sklearn", "model.pkl", "pickle"),
    as_keras: ("keras", "data/model.keras", ""),
    as_transformers: ("transformers", "model", ""),
}
"""Framework, file and kind of what each function writes."""
