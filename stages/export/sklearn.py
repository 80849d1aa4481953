"""scikit-learn: `MLPClassifier` and linear classifiers, alone or at the end of a `Pipeline`.

They are pickles (joblib's too) or skops files. A linear classifier is written with its raw scores,
what `decision_function` gives, because the converter's probabilities of some two-class models are
wrong; an `MLPClassifier` with its probabilities.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import joblib  # type: ignore[import-untyped] # has no types
import numpy as np
import skops.io  # type: ignore[import-untyped] # has no types
from skl2onnx import to_onnx  # type: ignore[import-untyped] # has no types
from skl2onnx.common.exceptions import (  # type: ignore[import-untyped] # same
    MissingConverter,
    MissingShapeCalculator,
)
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from stages.errors import ModelRefused
from stages.export.source import Floats, ModelSource

OPSETS = {"": 17, "ai.onnx.ml": 3}

_NETWORKS = {"MLPClassifier"}
_LINEAR = {
    "LinearDiscriminantAnalysis",
    "LinearSVC",
    "LogisticRegression",
    "LogisticRegressionCV",
    "PassiveAggressiveClassifier",
    "Perceptron",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "SGDClassifier",
}
"""By name, since some of them exist in some releases only."""
_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, OSError, zipfile.BadZipFile, zlib.error),
    *(AttributeError, ImportError, LookupError, TypeError, ValueError),
)
_INCONVERTIBLE = (
    *(MissingConverter, MissingShapeCalculator, NotImplementedError),
    *(AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError),
)


class SklearnExporter:
    """Exports fitted classifiers that have weights."""

    packages: ClassVar[tuple[str, ...]] = ("sklearn", "skl2onnx", "skops", "onnx")

    def load(self, source: ModelSource) -> object:
        """The object in a pickle, joblib or skops file; every type in it is trusted.

        Raises:
            ModelRefused: the file cannot be read, or a class in it cannot be imported.
        """
        try:
            if source.kind == "skops":
                trusted = skops.io.get_untrusted_types(file=source.path)
                return skops.io.load(source.path, trusted=trusted)
            return joblib.load(source.path)
        except _UNREADABLE as error:
            raise ModelRefused(
                f"scikit-learn cannot load `{source.path.name}`: {_reason(error)}; save the"
                " classifier again, or name a Python that can load it with `--python`"
            ) from error

    def prepare(self, native: object) -> BaseEstimator:
        """The fitted classifier; of a hyper-parameter search, the best one.

        Raises:
            ModelRefused: it is not a fitted classifier, has no weights, or gives several labels.
        """
        model = getattr(native, "best_estimator_", native)
        _require_weights(model)
        try:
            check_is_fitted(model)
        except NotFittedError as error:
            raise ModelRefused(
                f"the `{type(model).__name__}` is not fitted; save it after `fit`"
            ) from error
        if _is_multilabel(model):
            raise ModelRefused(
                f"the `{type(model).__name__}` gives several labels to an image, expected a"
                " classifier that chooses one class"
            )
        return model

    def input_shape(self, model: BaseEstimator) -> tuple[int, ...] | None:
        """The number of features the model was fitted on."""
        features = getattr(model, "n_features_in_", None)
        return None if features is None else (int(features),)

    def predict(self, model: BaseEstimator, images: Floats) -> Floats:
        """Raw scores (N, K) of a linear classifier, −s and s for two classes; else probabilities.

        Raises:
            ModelRefused: the images do not fit the model.
        """
        ask = model.decision_function if _is_linear(model) else model.predict_proba
        try:
            scores = _quietly(ask, images)
        except ValueError as error:
            raise ModelRefused(
                f"scikit-learn cannot classify images of shape {images.shape}: {_reason(error)};"
                " give samples of the shape the model was fitted on"
            ) from error
        return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores

    def write_onnx(self, model: BaseEstimator, images: Floats, path: Path) -> None:
        """Converts with skl2onnx.

        Raises:
            ModelRefused: a step of the pipeline has no ONNX form.
        """
        options: dict[str, bool] = {"raw_scores": True} if _is_linear(model) else {}
        if type(_final(model)).__name__ != "LinearSVC":
            options["zipmap"] = False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                onnx = to_onnx(
                    model, images[:1], options={id(_final(model)): options}, target_opset=OPSETS
                )
        except _INCONVERTIBLE as error:
            raise ModelRefused(
                f"skl2onnx cannot write the `{type(model).__name__}` as ONNX: {_reason(error)}; fit"
                " the classifier on features prepared outside of it"
            ) from error
        path.write_bytes(onnx.SerializeToString())


def _final(model: Any) -> Any:
    """The last step of a pipeline, through nested ones."""
    return _final(model.steps[-1][1]) if isinstance(model, Pipeline) else model


def _is_linear(model: BaseEstimator) -> bool:
    return type(_final(model)).__name__ in _LINEAR


def _require_weights(model: object) -> None:
    final = _final(model)
    name = type(final).__name__
    if not isinstance(final, BaseEstimator) or not is_classifier(final):
        raise ModelRefused(
            f"the file holds a `{name}`, which is no classifier of scikit-learn; save a fitted"
            " `MLPClassifier` or linear classifier"
        )
    if name not in _NETWORKS | _LINEAR:
        raise ModelRefused(
            f"a `{name}` has no neurons to perturb; expected an `MLPClassifier`, alone or at"
            " the end of a `Pipeline`"
        )


def _is_multilabel(model: Any) -> bool:
    """Whether more than one class may be right, so that an image gets a row of labels."""
    features = getattr(model, "n_features_in_", None)
    return (
        features is not None
        and np.ndim(_quietly(model.predict, np.zeros((1, features), np.float32))) > 1
    )


def _quietly(ask: Callable[[Floats], Floats], images: Floats) -> Floats:
    """The answer, without the warning that scikit-learn gives for features known by name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return np.asarray(ask(images))


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


EXPORTER = SklearnExporter()
