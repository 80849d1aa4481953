"""TensorFlow: SavedModel folders, whether Keras, `tf.Module` or an older release wrote them.

The images keep the layout of the model, usually NHWC. BatchNorm is folded into the convolution
before it where there is one, and becomes a multiplication and an addition elsewhere.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import tensorflow as tf  # type: ignore[import-untyped] # in another interpreter

from stages.errors import ModelRefused
from stages.export.source import Floats, ModelSource
from stages.export.tf_function import write_function

_FAILURES = (
    *(tf.errors.OpError, OSError, AssertionError, NotImplementedError),
    *(AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature of a SavedModel, with its input and the output that is the scores.

    `owner` is the loaded model: the variables live as long as it does.
    """

    function: Callable[..., Mapping[str, Any]]
    image: str
    shape: tuple[int | None, ...] | None
    scores: str
    owner: object

    def __call__(self, images: object) -> Any:
        """The scores of a tensor of images."""
        return self.function(**{self.image: images})[self.scores]


class TensorFlowExporter:
    """Exports SavedModels with a signature from float32 images to scores."""

    packages: ClassVar[tuple[str, ...]] = ("tensorflow", "tf2onnx", "onnx")

    def load(self, source: ModelSource) -> object:
        """The SavedModel in the folder.

        Raises:
            ModelRefused: the folder has none, or a broken one.
        """
        return _load(source.path)

    def prepare(self, native: object) -> Signature:
        """The signature `serving_default`, or the only one; a `tf.Module` is saved to get one.

        Raises:
            ModelRefused: there is no such signature, or it does not turn float32 images into one
                float32 output (batch, classes).
        """
        owner: Any = native if hasattr(native, "signatures") else _saved(native)
        name = _serving(list(owner.signatures))
        function = owner.signatures[name]
        image, shape = _image(name, function.structured_input_signature[1])
        scores = _scores(name, function.structured_outputs)
        return Signature(function=function, image=image, shape=shape, scores=scores, owner=owner)

    def input_shape(self, model: Signature) -> tuple[int, ...] | None:
        """The shape the signature has for its input; None where a size is free."""
        if model.shape is None or None in model.shape:
            return None
        return tuple(size for size in model.shape if size is not None)

    def predict(self, model: Signature, images: Floats) -> Floats:
        """The scores as the signature gives them.

        Raises:
            ModelRefused: the images do not fit the model.
        """
        try:
            scores: Floats = model(tf.constant(images)).numpy()
        except _FAILURES as error:
            raise ModelRefused(
                f"TensorFlow cannot classify images of shape {images.shape}: {_reason(error)}; give"
                " samples of the shape the model was made for, such as (N, H, W, C)"
            ) from error
        return scores

    def write_onnx(self, model: Signature, images: Floats, path: Path) -> None:
        """Converts the signature with tf2onnx.

        Raises:
            ModelRefused: an operation has no counterpart in ONNX.
        """
        spec = tf.TensorSpec((None, *images.shape[1:]), tf.float32, name="input")
        write_function(tf.function(model.__call__, input_signature=[spec]), path)


def _load(folder: Path) -> object:
    try:
        return tf.saved_model.load(str(folder))
    except _FAILURES as error:
        raise ModelRefused(
            f"TensorFlow cannot load the SavedModel `{folder.name}`: {_reason(error)}; save it"
            " again, with its folder `variables`"
        ) from error


def _saved(module: object) -> object:
    """A `tf.Module` after `tf.saved_model.save` and loading."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            tf.saved_model.save(module, folder)
        except _FAILURES as error:
            raise ModelRefused(
                f"TensorFlow cannot save the `{type(module).__name__}`: {_reason(error)}; return a"
                " `tf.Module` with one `@tf.function(input_signature=…)`"
            ) from error
        return _load(Path(folder))


def _serving(names: list[str]) -> str:
    if "serving_default" in names:
        return "serving_default"
    if len(names) == 1:
        return names[0]
    raise ModelRefused(
        f"the SavedModel has {_listed(names)} for signatures, expected `serving_default` or only"
        " one; save it with the classifier's signature alone"
    )


def _image(name: str, inputs: Mapping[str, Any]) -> tuple[str, tuple[int | None, ...] | None]:
    """Name and shape without batch of the only input; no shape where not even the rank is known."""
    images = [(each, spec) for each, spec in inputs.items() if spec.dtype == tf.float32]
    if len(inputs) != 1 or not images:
        raise ModelRefused(
            f"the signature `{name}` takes {_listed(_described(inputs))}, expected one float32"
            " input of images; save a signature that does without text, tables and second inputs"
        )
    [(image, spec)] = images
    if spec.shape.rank is None:
        return image, None
    shape = spec.shape.as_list()
    if not shape or shape[0] is not None:
        raise ModelRefused(
            f"the signature `{name}` takes images of shape {spec.shape}, expected any number of"
            " them; save it with None as the first size of its input"
        )
    return image, tuple(shape[1:])


def _scores(name: str, outputs: Mapping[str, Any]) -> str:
    scores = [
        each for each, spec in outputs.items() if spec.dtype == tf.float32 and spec.shape.rank == 2
    ]
    if len(scores) == 1:
        return scores[0]
    raise ModelRefused(
        f"the signature `{name}` gives {_listed(_described(outputs))}, expected exactly one float32"
        " output (batch, classes); save a signature that gives the scores alone"
    )


def _described(specs: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {spec.dtype.name} {spec.shape}" for name, spec in specs.items()]


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


EXPORTER = TensorFlowExporter()
