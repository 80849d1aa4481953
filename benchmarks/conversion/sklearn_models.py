"""scikit-learn classifiers on random features, written by skl2onnx.

Networks and linear models must pass; what is no network must be refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks.conversion.case import Case

FEATURES = 20


def _mlp(activation: str = "relu", hidden: tuple[int, ...] = (32, 16)) -> MLPClassifier:
    return MLPClassifier(hidden, activation=activation, max_iter=2000, tol=1e-2, random_state=7)


NETWORKS = {
    "mlp_relu": _mlp(),
    "mlp_tanh": _mlp("tanh"),
    "mlp_logistic": _mlp("logistic", (32,)),
    "mlp_binary": _mlp(),
    "logistic": LogisticRegression(max_iter=2000),
    "logistic_binary": LogisticRegression(max_iter=2000),
    "standard_mlp": make_pipeline(StandardScaler(), _mlp()),
    "minmax_mlp": make_pipeline(MinMaxScaler(), _mlp()),
    "maxabs_mlp_binary": make_pipeline(MaxAbsScaler(), _mlp()),
    "standard_logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
}
"""Classifiers that must pass; those called binary are trained on two classes, others on four."""

OTHERS = {
    "random_forest": RandomForestClassifier(10, random_state=7),
    "gradient_boosting": GradientBoostingClassifier(n_estimators=10, random_state=7),
    "decision_tree": DecisionTreeClassifier(random_state=7),
    "svc": SVC(probability=False, random_state=7),
    "nearest_neighbours": KNeighborsClassifier(),
    "naive_bayes": GaussianNB(),
}
"""Classifiers without weights a gradient could reach."""

OPSETS = {
    "skl2onnx-17": {"": 17, "ai.onnx.ml": 3},
    "skl2onnx-13": {"": 13, "ai.onnx.ml": 2},
    "skl2onnx": None,
}
"""Target opsets by the exporter's name; None is the exporter's own."""


def cases() -> Iterator[Case]:
    """All classifiers, networks at three opsets and with their probabilities as maps."""
    for name, model in NETWORKS.items():
        for exporter in (*OPSETS, "skl2onnx-17-zipmap"):
            yield _case(name, model, exporter)
    yield _case("logistic", NETWORKS["logistic"], "skl2onnx-17-raw")
    for name, model in OTHERS.items():
        yield _case(name, model, "skl2onnx-17", refusal=True)


def _case(name: str, model: ClassifierMixin, exporter: str, *, refusal: bool = False) -> Case:
    return Case(
        family="sklearn",
        model=name,
        exporter=exporter,
        write=partial(write, name, model, exporter),
        refusal=refusal,
    )


def write(name: str, model: ClassifierMixin, exporter: str, target: Path) -> None:
    """Fits the classifier and exports it."""
    from skl2onnx import to_onnx  # noqa: PLC0415 # not among the project's dependencies

    features, classes = make_classification(
        400,
        FEATURES,
        n_informative=10,
        n_classes=2 if name.endswith("binary") else 4,
        random_state=7,
    )
    features = features.astype(np.float32)
    model.fit(features, classes)
    options = {} if exporter.endswith("zipmap") else {"zipmap": False}
    if exporter.endswith("raw"):
        options["raw_scores"] = True
    last = model[-1] if hasattr(model, "steps") else model
    proto = to_onnx(
        *(model, features[:1]),
        options={id(last): options} if options else None,
        target_opset=OPSETS.get(exporter, OPSETS["skl2onnx-17"]),
    )
    target.write_bytes(proto.SerializeToString())
