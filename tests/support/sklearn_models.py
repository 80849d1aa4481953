"""Classifiers of scikit-learn as skl2onnx writes them, fitted on the same rows."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

ROWS: npt.NDArray[Any] = np.random.default_rng(0).standard_normal((120, 6)).astype(np.float32)


def mlp(**more: Any) -> MLPClassifier:
    """A small network, barely trained."""
    return MLPClassifier((8,), max_iter=5, random_state=0, **more)


NETWORKS = {
    "mlp": mlp,
    "tanh": lambda: mlp(activation="tanh"),
    "standard": lambda: make_pipeline(StandardScaler(), mlp()),
    "minmax": lambda: make_pipeline(MinMaxScaler(), mlp()),
    "l1": lambda: make_pipeline(Normalizer("l1"), mlp()),
    "l2": lambda: make_pipeline(Normalizer("l2"), mlp()),
    "pca": lambda: make_pipeline(StandardScaler(), PCA(4, random_state=0), mlp()),
    "chosen": lambda: make_pipeline(SelectKBest(k=4), mlp()),
}
LINEAR = {
    "logistic": LogisticRegression,
    "sgd": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "ridge": RidgeClassifier,
    "scaled": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
}


@cache
def fitted(name: str, classes: int) -> BaseEstimator:
    """That model, trained on labels that a sum of absolute values gives."""
    labels = (np.abs(ROWS).sum(axis=1) * 7).astype(int) % classes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (NETWORKS | LINEAR)[name]().fit(ROWS, labels)


def exported(model: BaseEstimator, *, zipmap: bool = False) -> ModelProto:
    """What skl2onnx writes, with probabilities as a tensor or as a map for each sample."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proto: ModelProto = to_onnx(model, ROWS[:1], options={id(last): {"zipmap": zipmap}})
    return proto
