"""Demo models in a registry, and the commands that gate them, run in this process."""

from __future__ import annotations

import copy

import mlflow
import onnx
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from mlflow_project.cli import main as cli
from tests.support.places import DEMO

SAMPLES = DEMO / "samples.npz"
MODELS = {"clean": "clean.onnx", "backdoored": "blended.onnx"}


def logged(model: str) -> str:
    """The URI of a demo model as a LoggedModel of the server."""
    proto = copy.deepcopy(onnx.load(DEMO / MODELS[model]))
    made = mlflow.onnx.log_model(
        proto, name="model", save_as_external_data=False, pip_requirements=["onnxruntime"]
    )
    return str(made.model_uri)


def register(name: str, source: str) -> None:
    """Registers the source as the next version of a model that may be new."""
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    model = source.removeprefix("models:/") if "/m-" in source else None
    client.create_model_version(name, source, model_id=model)


def call(*arguments: object) -> Result:
    """What `ban-gate` says to these arguments."""
    return CliRunner().invoke(cli.main, [str(each) for each in arguments])


def gate(uri: str, *options: object) -> Result:
    """What the gate says to a version, judged on the demo's samples."""
    return call("gate", uri, "--samples", SAMPLES, *options)
