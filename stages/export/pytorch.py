"""PyTorch: pickled modules, exported programs (`.pt2`) and TorchScript.

Modules and TorchScript are traced in eval mode with `TrainingMode.PRESERVE`, which keeps BatchNorm
apart. Exported programs, and what cannot be traced, go through the default exporter without its
optimiser, which would fold BatchNorm.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from stages.errors import ModelRefused
from stages.export.source import Floats, ModelSource

OPSET = 17  # the newest at which the tracing exporter's files need no extra converter
PROGRAM_OPSET = 18  # the oldest the default exporter writes
_LARGEST_BATCH = 1024
_UNREADABLE = (RuntimeError, pickle.UnpicklingError, AttributeError, ImportError, EOFError)
_UNTRACEABLE = (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class TorchModel:
    """A module in eval mode, and the program it comes from if it comes from one."""

    module: nn.Module
    program: ExportedProgram | None = None

    @property
    def example(self) -> torch.Tensor | None:
        """The first input a program was exported with."""
        if self.program is None or self.program.example_inputs is None:
            return None
        example: torch.Tensor = self.program.example_inputs[0][0]
        return example

    @property
    def batch(self) -> int | None:
        """The only batch size the program takes; None where any will do."""
        free = self.program is None or self.program.range_constraints
        return None if free or self.example is None else len(self.example)


class PyTorchExporter:
    """Exports PyTorch classifiers whose output, or first output, is the scores."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "onnx", "onnxscript")

    def load(self, source: ModelSource) -> object:
        """The module, program or TorchScript in the file.

        Raises:
            ModelRefused: the file cannot be read, or the module's class cannot be imported.
        """
        try:
            if source.kind == "program":
                return torch.export.load(source.path)
            if source.kind == "torchscript":
                script: nn.Module = torch.jit.load(source.path, map_location="cpu")  # type: ignore[no-untyped-call] # torch's own
                return script
            return torch.load(source.path, map_location="cpu", weights_only=False)
        except _UNREADABLE as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelRefused(
                f"PyTorch cannot load `{source.path.name}`: {reason[0]}; if its class is in a file"
                " of yours, name a function that builds it, as FILE.py:FUNCTION"
            ) from error

    def prepare(self, native: object) -> TorchModel:
        """The model in eval mode.

        Raises:
            ModelRefused: the file has weights without a module, or something else.
        """
        if isinstance(native, ExportedProgram):
            return TorchModel(module=native.module(), program=native)
        if isinstance(native, nn.Module):
            return TorchModel(module=native.eval())
        content = "weights without their architecture" if isinstance(native, dict) else "an object"
        raise ModelRefused(
            f"the file holds {content} of type `{type(native).__name__}`, expected a whole module;"
            " save the module itself, or name a function that builds it, as FILE.py:FUNCTION"
        )

    def input_shape(self, model: TorchModel) -> tuple[int, ...] | None:
        """The shape of an exported program's example; a module does not state one."""
        return None if model.example is None else tuple(model.example.shape[1:])

    def predict(self, model: TorchModel, images: Floats) -> Floats:
        """The model's first output; a program of one batch size gets padded chunks."""
        size = model.batch or len(images)
        rows = np.arange(len(images) + -len(images) % size).clip(max=len(images) - 1)
        chunks = torch.split(torch.tensor(images[rows]), size)
        with torch.no_grad():
            scores = torch.cat([_first_output(model.module(chunk)) for chunk in chunks])
        return scores[: len(images)].float().numpy()

    def write_onnx(self, model: TorchModel, images: Floats, path: Path) -> None:
        """Traces the module, or takes the program as it is."""
        example = torch.tensor(images)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if model.program is not None:
                _write_program(model.program, path)
                return
            try:
                _trace(model.module, example, path)
            except _UNTRACEABLE:
                batch = Dim("batch", min=1, max=_LARGEST_BATCH)
                program = torch.export.export(
                    model.module, (example,), dynamic_shapes=({0: batch},)
                )
                _write_program(program, path)


def _first_output(output: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else output[0]


def _trace(module: nn.Module, example: torch.Tensor, path: Path) -> None:
    torch.onnx.export(
        *(module, (example,), str(path)),
        dynamo=False,
        opset_version=OPSET,
        training=torch.onnx.TrainingMode.PRESERVE,
        input_names=["input"],
        output_names=["scores"],
        dynamic_axes={"input": {0: "batch"}, "scores": {0: "batch"}},
    )


def _write_program(program: ExportedProgram, path: Path) -> None:
    torch.onnx.export(
        *(program, (), str(path)),
        dynamo=True,
        optimize=False,
        opset_version=PROGRAM_OPSET,
        external_data=False,
        verbose=False,
    )


EXPORTER = PyTorchExporter()
