"""Models of Keras, JAX and Paddle, written by scripts that run in their own interpreters.

The scripts know nothing of this project, because the exporters' packages do not get on with it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.conversion.case import Case, NotTried

_FOLDER = Path(__file__).parent
_LONGEST = 600  # seconds an export may take
_ERROR = re.compile(r"^[\w.]+(?:Error|Exception): .*", re.MULTILINE)

_KERAS_SMALL = ("small_cnn", "small_cnn_softmax", "mlp", "residual", "separable", "attention")
_KERAS_LARGE = (
    *("mobilenet_v2", "mobilenet_v3_small", "efficientnet_v2_b0"),
    *("resnet50", "densenet121", "xception"),
)
_JAX = ("small_cnn", "mlp", "residual", "attention")
_PADDLE = (
    *("small_cnn", "mlp", "resnet18", "mobilenet_v2", "mobilenet_v3_small"),
    *("shufflenet_v2", "squeezenet1_1", "densenet121"),
)


def keras_torch() -> Iterator[Case]:
    """Keras models on the torch backend, which this interpreter has if it has Keras."""
    here = {"KERAS_BACKEND": "torch"}
    for name in (*_KERAS_SMALL, "mobilenet_v2"):
        yield _case("keras-torch", name, "keras", Path(sys.executable), here)


def keras_tensorflow(python: Path | None) -> Iterator[Case]:
    """Keras models on the TensorFlow backend, by Keras itself and by tf2onnx.

    The constants of EfficientNetB0's own preprocessing end up as inputs of the file, which makes it
    no classifier.
    """
    backend = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    for name in (*_KERAS_SMALL, *_KERAS_LARGE):
        yield _case("keras-tensorflow", name, "keras", python, backend)
        yield _case("keras-tensorflow", name, "tf2onnx-17", python, backend)
    for name in ("small_cnn", "residual", "separable", "mobilenet_v2"):
        yield _case("keras-tensorflow", name, "tf2onnx-17-nchw", python, backend)
        yield _case("keras-tensorflow", name, "tf2onnx-13", python, backend)
    yield _case("keras-tensorflow", "efficientnet_b0", "keras", python, backend, refusal=True)


def jax(python: Path | None) -> Iterator[Case]:
    """Flax models by jax2onnx, which writes a mean at opset 17 that only opset 18 allows."""
    here = {"JAX_PLATFORMS": "cpu"}
    for name in _JAX:
        invalid = name in ("residual", "attention")
        yield _case("jax", name, "jax2onnx-17", python, here, refusal=invalid)
        for opset in (21, 23):
            yield _case("jax", name, f"jax2onnx-{opset}", python, here)


def paddle(python: Path | None) -> Iterator[Case]:
    """Paddle models by paddle2onnx."""
    for name in _PADDLE:
        for opset in (13, 17, 19):
            yield _case("paddle", name, f"paddle2onnx-{opset}", python, {})


def _case(
    family: str,
    model: str,
    exporter: str,
    python: Path | None,
    environment: Mapping[str, str],
    *,
    refusal: bool = False,
) -> Case:
    script = _FOLDER / f"export_{family.partition('-')[0]}.py"
    return Case(
        family=family,
        model=model,
        exporter=exporter,
        write=partial(_run, python, script, model, exporter, dict(environment)),
        refusal=refusal,
    )


def _run(
    python: Path | None,
    script: Path,
    model: str,
    exporter: str,
    environment: Mapping[str, str],
    target: Path,
) -> None:
    """Runs the script for one model.

    Raises:
        NotTried: there is no interpreter for it, or it lacks the framework.
        RuntimeError: the export failed; the message is the last error it wrote.
    """
    framework = script.stem.removeprefix("export_")
    if python is None:
        raise NotTried(f"no interpreter for {framework}: give its path with --python-…")
    found = subprocess.run(
        [str(python), str(script), model, exporter, str(target)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    if found.returncode:
        said = _ERROR.findall(found.stderr) or [f"exit code {found.returncode}"]
        if said[-1].startswith("ModuleNotFoundError"):
            raise NotTried(said[-1])
        raise RuntimeError(said[-1])
