"""PaddlePaddle: programs saved for inference, and `nn.Layer` objects from a function.

A program is a pair of files with one name: `.json`, or `.pdmodel` of releases before 3, and
`.pdiparams`. It is saved once more with a free batch size before it is converted. paddle2onnx keeps
BatchNorm; the images keep the layout of the model, usually NCHW.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import paddle  # type: ignore[import-not-found] # in another interpreter
from paddle.jit import TranslatedLayer  # type: ignore[import-not-found] # same
from paddle.pir_utils import DygraphOldIrGuard  # type: ignore[import-not-found] # same

from stages.errors import ModelRefused
from stages.export.source import Floats, ModelSource

OPSET = 17

_WEIGHTS = ".pdiparams"
_PROGRAMS = (".json", ".pdmodel")
_FAILURES = (
    *(OSError, AssertionError, NotImplementedError, SystemError),
    *(AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)


class PaddleExporter:
    """Exports Paddle classifiers with one input and one float output (batch, classes)."""

    packages: ClassVar[tuple[str, ...]] = ("paddle", "paddle2onnx", "onnx")

    def load(self, source: ModelSource) -> object:
        """The program in a folder, or the one that a file belongs to.

        Raises:
            ModelRefused: a file of the pair is missing or broken.
        """
        program = _program(source.path)
        try:
            with _intermediate_form(is_old=program.suffix == ".pdmodel"):
                return paddle.jit.load(str(program.with_suffix("")))
        except _FAILURES as error:
            raise ModelRefused(
                f"PaddlePaddle cannot load `{program.name}`: {_reason(error)}; save it again with"
                " `paddle.jit.save`"
            ) from error

    def prepare(self, native: Any) -> Any:
        """The layer in eval mode.

        Raises:
            ModelRefused: it is not a layer, has no weights, or takes other inputs than one float32.
        """
        if not isinstance(native, paddle.nn.Layer):
            raise ModelRefused(
                f"the function returned a `{type(native).__name__}`, expected a `paddle.nn.Layer`"
            )
        if not native.parameters():
            raise ModelRefused(
                "the Paddle model has no weights, so no neurons to perturb; give a trained network"
            )
        taken = [f"{each.dtype} {tuple(each.shape)}" for each in _inputs(native)]
        if len(taken) > 1 or not all(each.startswith("paddle.float32") for each in taken):
            raise ModelRefused(
                f"the Paddle program takes {', '.join(taken)}, expected one float32 input of"
                " images; save it with only that one"
            )
        native.eval()
        return native

    def input_shape(self, model: Any) -> tuple[int, ...] | None:
        """The input shape of a program; None where a size is free, and for other layers."""
        for spec in _inputs(model):
            shape = tuple(int(size) for size in spec.shape[1:])
            return None if -1 in shape else shape
        return None

    def predict(self, model: Any, images: Floats) -> Floats:
        """The model's only float output (batch, classes).

        Raises:
            ModelRefused: the images do not fit the model, or it has no such output.
        """
        try:
            with paddle.no_grad():
                output = model(paddle.to_tensor(images))
        except _FAILURES as error:
            raise ModelRefused(
                f"PaddlePaddle cannot classify images of shape {images.shape}: {_reason(error)};"
                " give samples of the shape the model was made for, such as (N, C, H, W)"
            ) from error
        return _scores(output)

    def write_onnx(self, model: Any, images: Floats, path: Path) -> None:
        """Saves the layer as a program and converts that.

        Raises:
            ModelRefused: the layer does not become a program, or has an operator that ONNX lacks.
        """
        spec = paddle.static.InputSpec([None, *images.shape[1:]], "float32", name="input")
        with tempfile.TemporaryDirectory() as folder:
            try:
                with _intermediate_form(is_old=isinstance(model, TranslatedLayer)):
                    paddle.jit.save(model, f"{folder}/model", input_spec=[spec])
            except _FAILURES as error:
                raise ModelRefused(
                    f"PaddlePaddle cannot turn the `{type(model).__name__}` into a program:"
                    f" {_reason(error)}; save it with `paddle.jit.save` yourself"
                ) from error
            _convert(_program(Path(folder)), path)


def _program(path: Path) -> Path:
    """The program file of a pair, given the folder it is alone in or one of its files."""
    weights = sorted(path.glob(f"*{_WEIGHTS}")) if path.is_dir() else [path.with_suffix(_WEIGHTS)]
    ends = (path.suffix,) if path.suffix in _PROGRAMS else _PROGRAMS
    programs = [one.with_suffix(end) for one in weights for end in ends if one.is_file()]
    whole = [one for one in programs if one.is_file()]
    if len(whole) == 1:
        return whole[0]
    raise ModelRefused(
        f"`{path.name}` holds {len(whole)} whole Paddle programs, expected one: a `.json` or"
        " `.pdmodel` file and the `.pdiparams` file of the same name beside it"
    )


def _intermediate_form(*, is_old: bool) -> AbstractContextManager[None]:
    """Reads and writes `.pdmodel` files in place of `.json` files."""
    guard: AbstractContextManager[None] = DygraphOldIrGuard() if is_old else nullcontext()
    return guard


def _inputs(layer: Any) -> list[Any]:
    """The inputs of a loaded program; unknown for a layer that is code."""
    return list(layer._input_spec()) if hasattr(layer, "_input_spec") else []


def _scores(output: Any) -> Floats:
    outputs = [one.numpy() for one in (output if isinstance(output, list | tuple) else [output])]
    scores = [one for one in outputs if one.ndim == 2 and one.dtype == np.float32]
    if len(scores) != 1:
        shapes = ", ".join(f"{one.dtype} {one.shape}" for one in outputs)
        raise ModelRefused(
            f"the Paddle model gives {shapes}, expected exactly one float32 output (batch,"
            " classes); save it with the scores alone"
        )
    return np.asarray(scores[0])


def _convert(program: Path, path: Path) -> None:
    """Runs paddle2onnx in its own process, which it kills at an operator that it does not know."""
    command = [sys.executable, "-m", "paddle2onnx.command", "--model_dir", str(program.parent)]
    command += ["--model_filename", program.name, "--params_filename", f"{program.stem}{_WEIGHTS}"]
    command += ["--save_file", str(path), "--opset_version", str(OPSET), "--optimize_tool", "None"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    if done.returncode or not path.is_file():
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
        reason = errors[0] if errors else f"it ended with code {done.returncode}"
        raise ModelRefused(
            f"paddle2onnx cannot convert the model: {reason}; build it of operators that"
            " paddle2onnx supports, or export it to ONNX yourself"
        )


def _reason(error: Exception) -> str:
    """The line of an error that says what is wrong, which Paddle puts behind its stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    messages = [line for line in lines if "Error:" in line or line.startswith("(")]
    return next(iter(messages or lines), type(error).__name__)


EXPORTER = PaddleExporter()
