"""Where a model is stored, and what an exporter of its framework can do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model on disk: its framework (`onnx` for one that needs no export), and its file or folder.

    `factory` names the function that builds the model where `path` is a Python file; `code` are
    folders the model's own code is imported from; `kind` distinguishes formats of one framework.
    """

    framework: str
    path: Path
    kind: str = ""
    factory: str | None = None
    code: tuple[Path, ...] = ()


class Exporter(Protocol):
    """One framework: loads a native classifier, runs it, and writes it as ONNX.

    The model is whatever `prepare` returns; only this exporter looks into it.
    """

    packages: tuple[str, ...]
    """What must be importable, the framework first."""

    def load(self, source: ModelSource) -> Any:
        """The model as the framework loads it; runs code of the model's author.

        Raises:
            ModelRefused: there is no model of this framework.
        """

    def prepare(self, native: Any) -> Any:
        """A loaded or built model made ready to predict.

        Raises:
            ModelRefused: it is not a classifier, or has no neurons to perturb.
        """

    def input_shape(self, model: Any) -> tuple[int, ...] | None:
        """The shape of one image as the model takes it; None where the model does not state it."""

    def predict(self, model: Any, images: Floats) -> Floats:
        """What the native model gives for images (N, *input shape): scores (N, K), by the same
        final layer as the ONNX file's.
        """

    def write_onnx(self, model: Any, images: Floats, path: Path) -> None:
        """Writes the model as one ONNX file with a free batch size; `images` shows the input.

        BatchNorm is kept where the framework's converter allows.
        """
