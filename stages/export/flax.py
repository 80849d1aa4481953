"""Flax: `nnx` modules, and `linen` modules bound to their weights, as a function builds them.

Flax has no file format for a network with its weights. jax2onnx keeps BatchNorm and LayerNorm as
nodes of their own; the images keep the layout of the model, usually NHWC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import jax  # type: ignore[import-not-found] # in another interpreter
import jax2onnx  # type: ignore[import-not-found] # same
import numpy as np
from flax import linen, nnx  # type: ignore[import-not-found] # same
from flax.errors import FlaxError  # type: ignore[import-not-found] # same

from stages.errors import ModelRefused
from stages.export.source import Floats, ModelSource

OPSET = 17

_POOLS = [(package, name) for package in (linen, nnx) for name in ("avg_pool", "max_pool")]
_FAILURES = (
    *(FlaxError, NotImplementedError, AssertionError),
    *(AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)


class FlaxExporter:
    """Exports Flax classifiers with one output (batch, classes)."""

    packages: ClassVar[tuple[str, ...]] = ("flax", "jax", "jax2onnx")

    def load(self, source: ModelSource) -> object:
        """Nothing: there is no file to load.

        Raises:
            ModelRefused: always.
        """
        raise ModelRefused(
            f"`{source.path.name}` cannot be a whole Flax model, since Flax saves weights without"
            " their network; name a function that builds it, as FILE.py:FUNCTION"
        )

    def prepare(self, native: object) -> Any:
        """The module with dropout off and BatchNorm on its running statistics.

        Raises:
            ModelRefused: it is not a module, has no weights, or is not bound to them.
        """
        if isinstance(native, nnx.Module):
            native.eval()
            weights: object = nnx.state(native, nnx.Param)
        elif isinstance(native, linen.Module) and native.scope is not None:
            weights = native.variables.get("params")
        else:
            raise ModelRefused(
                f"the function returned a `{type(native).__name__}`, expected an `nnx.Module` or a"
                " `linen` module with weights, which `module.bind(variables)` gives"
            )
        if not jax.tree.leaves(weights):
            raise ModelRefused(
                f"the `{type(native).__name__}` has no weights, so no neurons to perturb; return a"
                " trained network"
            )
        return native

    def input_shape(self, model: Any) -> None:
        """Unknown: a module does not state it."""
        del model

    def predict(self, model: Any, images: Floats) -> Floats:
        """The model's only float output (batch, classes).

        Raises:
            ModelRefused: the images do not fit the model, or it has no such output.
        """
        try:
            return np.asarray(_scores(model, jax.numpy.asarray(images)), np.float32)
        except _FAILURES as error:
            raise ModelRefused(
                f"Flax cannot classify images of shape {images.shape}: {_reason(error)}; return a"
                " module that takes images (N, H, W, C) and nothing else, and give samples of its"
                " shape"
            ) from error

    def write_onnx(self, model: Any, images: Floats, path: Path) -> None:
        """Converts with jax2onnx, weights inside the file.

        Raises:
            ModelRefused: jax2onnx has no counterpart for an operation.
        """

        def scores(batch: object) -> object:
            with _pools_take_windows_by_position():
                return _scores(model, batch)

        try:
            written = jax2onnx.to_onnx(
                scores,
                [("B", *images.shape[1:])],
                opset=OPSET,
                normalization_mode="prefer_native",
            )
        except _FAILURES as error:
            raise ModelRefused(
                f"jax2onnx cannot convert the `{type(model).__name__}`: {_reason(error)}; build it"
                " of plain Flax layers"
            ) from error
        del written.graph.value_info[:]  # shapes from before jax2onnx moved its transposes
        path.write_bytes(written.SerializeToString())


def _scores(model: Any, images: object) -> Any:
    outputs = jax.tree.leaves(model(images))
    scores = [one for one in outputs if one.ndim == 2 and one.dtype == np.float32]
    if len(scores) != 1:
        shapes = ", ".join(f"{one.dtype} {one.shape}" for one in outputs) or "nothing"
        raise ModelRefused(
            f"the `{type(model).__name__}` gives {shapes}, expected exactly one float32 output"
            " (batch, classes); return a module that gives the scores alone"
        )
    return scores[0]


@contextmanager
def _pools_take_windows_by_position() -> Iterator[None]:
    """jax2onnx replaces Flax's pools by its own, which take all but the images by name only."""
    replaced = [getattr(package, name) for package, name in _POOLS]
    for (package, name), pool in zip(_POOLS, replaced, strict=True):
        setattr(package, name, _by_position(pool))
    try:
        yield
    finally:
        for (package, name), pool in zip(_POOLS, replaced, strict=True):
            setattr(package, name, pool)


def _by_position(pool: Callable[..., object]) -> Callable[..., object]:
    def call(
        inputs: object,
        window_shape: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
        padding: object = "VALID",
        **options: object,
    ) -> object:
        strides = strides or (1,) * len(window_shape)
        return pool(inputs, window_shape=window_shape, strides=strides, padding=padding, **options)

    return call


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


EXPORTER = FlaxExporter()
