"""The work of `ban-gate samples`: pictures become one `.npz` for one model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlflow_project.commands import workspace
from mlflow_project.output_files import put
from mlflow_project.registry import versions
from pipeline.config import ScanConfig
from pipeline.intake.fetch import fetch
from pipeline.intake.native import NativeModel
from pipeline.intake.sandbox import Sandbox
from pipeline.samples.clean import Made, made_samples
from pipeline.samples.exact_file import write_exact
from pipeline.samples.preparation import Preparation
from pipeline.samples.source import exact_file
from stages.errors import ConfigError
from stages.export.detect import find_source
from stages.onnx_file.inspection import inspect_onnx


@dataclass(frozen=True, kw_only=True)
class SamplesCall:
    """One call of `samples`: the pictures, the model they are for, and where the file goes.

    `source` and `model` may be URIs of MLflow.
    """

    source: str
    model: str
    output: Path
    preparation: Preparation
    config: ScanConfig


def write_samples(call: SamplesCall) -> Made:
    """Makes clean samples of pictures and writes them, with where they came from.

    Raises:
        CannotJudge: the model is refused, or the pictures do not fit it.
        ConfigError: the model is none of ONNX, the source is an `.npz` already, an option does not
            fit, or the output cannot be written.
        RegistryError: something in MLflow cannot be fetched.
    """
    with workspace() as folder:
        model = str(versions.local(call.model, folder / "model"))
        source = find_source(model)
        if source.framework != "onnx":
            raise ConfigError(
                f"`{source.path.name}` is a {source.framework or 'native'} model; make an ONNX file"
                " of it with `ban-gate export` first"
            )
        pictures = versions.local(call.source, folder / "source")
        if exact_file(pictures) is not None:
            raise ConfigError(f"`{call.source}` is an `.npz` already; give it to `scan` as it is")
        place = folder / "copy"
        place.mkdir()
        config, sandbox = call.config, Sandbox(limits=call.config.isolation)
        native = NativeModel(source=source)
        file = fetch(native, place, trusted=False, config=config.export, sandbox=sandbox).path
        artifact = sandbox.run(inspect_onnx, file, config.output.name)
        made = made_samples(pictures, artifact, model, call.preparation)
        write_exact(folder / "clean.npz", made.samples, made.pictures)
        put(folder / "clean.npz", call.output)
    return made
