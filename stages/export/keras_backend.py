"""Which backend Keras runs on; read by Keras once, when it is first imported."""

from __future__ import annotations

import os
from importlib.util import find_spec

PACKAGES = {
    "tensorflow": ("tensorflow", "tf2onnx"),
    "torch": ("torch", "onnx", "onnxscript"),
}
"""What each backend needs for ONNX, in the order the backends are preferred: TensorFlow's converter
leaves the plainest graph. JAX is left out: jax2onnx writes Keras poolings that no runtime accepts,
and the other two load the same files.
"""


def choose_backend() -> None:
    """Sets `KERAS_BACKEND` to the first backend that is installed, unless it is set already."""
    installed = [name for name in PACKAGES if find_spec(name)]
    if installed:
        os.environ.setdefault("KERAS_BACKEND", installed[0])
