"""Laws of the scikit-learn exporter: weights become ONNX faithfully, everything else is refused."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from stages.export.sklearn import EXPORTER
from stages.export.source import ModelSource
from tests.support import exports

FEATURES = 6


def data(classes: int) -> tuple[exports.Floats, np.ndarray[Any, Any]]:
    """Points (120, 6) around one centre for each class, and their labels."""
    random, labels = np.random.default_rng(0), np.arange(120) % classes
    points = random.normal(size=(120, FEATURES)) + 2 * np.eye(FEATURES)[labels]
    return points.astype(np.float32), labels


def fitted(model: BaseEstimator, classes: int = 3) -> BaseEstimator:
    """The model after `fit` on the points of that many classes."""
    return model.fit(*data(classes))


def network(**options: Any) -> MLPClassifier:
    """A multilayer perceptron with 8 hidden neurons; `lbfgs` converges without a warning."""
    return MLPClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0, **options)


def pickled(model: object, folder: Path) -> ModelSource:
    """The model as a pickle file."""
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps(model))
    return ModelSource(framework="sklearn", path=path, kind="pickle")


def as_compressed_joblib(model: object, path: Path) -> None:
    """Writes the model as joblib does with compression."""
    joblib.dump(model, path, compress=3)


def as_gzipped_pickle(model: object, path: Path) -> None:
    """Writes a pickle through gzip."""
    path.write_bytes(gzip.compress(pickle.dumps(model)))


MODELS: dict[str, Callable[[], BaseEstimator]] = {
    "network": network,
    "network with sigmoids": lambda: network(activation="logistic"),
    "network with tanh": lambda: network(activation="tanh"),
    "logistic regression": LogisticRegression,
    "SGD with log loss": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "SGD with hinge loss": lambda: SGDClassifier(random_state=0),
    "linear SVM": lambda: LinearSVC(random_state=0),
    "perceptron": Perceptron,
    "ridge": RidgeClassifier,
    "discriminant": LinearDiscriminantAnalysis,
    "scaled network": lambda: make_pipeline(StandardScaler(), network()),
    "nested pipeline": lambda: make_pipeline(
        MinMaxScaler(), make_pipeline(PCA(4, random_state=0), LogisticRegression())
    ),
    "normalised SGD": lambda: make_pipeline(
        Normalizer(), SGDClassifier(loss="log_loss", random_state=0)
    ),
    "search": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0]},
        cv=2,
    ),
}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_the_onnx_gives_the_native_scores(name: str, classes: int, tmp_path: Path) -> None:
    """Every kind of model with weights keeps its scores, for two classes and for more."""
    model = fitted(MODELS[name](), classes)

    exported = exports.export(pickled(model, tmp_path), tmp_path / "out")

    exports.assert_faithful(exported)
    exports.assert_free_batch(exported)
    assert exported.scores.shape == (8, classes)
    assert exported.facts["framework"] == "sklearn"
    assert {"sklearn", "skl2onnx"} <= set(exported.facts["packages"])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("classes", [2, 3])
def test_the_largest_score_is_the_predicted_class(name: str, classes: int) -> None:
    """Scores are in the order of the classes: their maximum is what `predict` says."""
    model = fitted(MODELS[name](), classes)
    points, _ = data(classes)

    scores = EXPORTER.predict(EXPORTER.prepare(model), points)

    assert model.predict(points).tolist() == scores.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("write", "name", "kind"),
    [
        (joblib.dump, "model.joblib", "pickle"),
        (as_compressed_joblib, "model.joblib", "pickle"),
        (as_gzipped_pickle, "model.pickle", "pickle"),
        (skops.io.dump, "model.skops", "skops"),
    ],
)
def test_every_file_format_gives_the_same_scores(
    write: Callable[[object, Path], object], name: str, kind: str, tmp_path: Path
) -> None:
    """joblib, compressed or not, and skops hold the same model as a pickle."""
    model, path = fitted(make_pipeline(StandardScaler(), network())), tmp_path / name
    write(model, path)

    expected = exports.export(pickled(model, tmp_path), tmp_path / "pickle")
    exported = exports.export(
        ModelSource(framework="sklearn", path=path, kind=kind), tmp_path / "out"
    )

    exports.assert_faithful(exported)
    assert exported.scores.tolist() == expected.scores.tolist()


def test_classes_may_be_words(tmp_path: Path) -> None:
    """A classifier of words is exported by the order of its classes."""
    points, labels = data(3)
    model = network().fit(points, np.array(["cat", "dog", "owl"])[labels])

    exported = exports.export(pickled(model, tmp_path), tmp_path / "out")

    exports.assert_faithful(exported)


def test_features_with_names_need_none_here(tmp_path: Path) -> None:
    """A model that was fitted on a table takes plain arrays, without a warning."""
    pandas = pytest.importorskip("pandas")
    points, labels = data(3)
    table = pandas.DataFrame(points, columns=list("abcdef"))
    model = make_pipeline(StandardScaler(), network()).fit(table, labels)

    exported = exports.export(pickled(model, tmp_path), tmp_path / "out")

    exports.assert_faithful(exported)


def test_the_probe_is_of_the_shape_the_model_was_fitted_on(tmp_path: Path) -> None:
    """A model tells how many features it takes, so the caller need not."""
    exported = exports.export(pickled(fitted(network()), tmp_path), tmp_path / "out")

    assert exported.images.shape == (8, FEATURES)


def test_samples_of_another_shape_are_refused(tmp_path: Path) -> None:
    """Images do not fit a model of vectors; the sentence names their shape."""
    source = pickled(fitted(network()), tmp_path)

    message = exports.refused(source, tmp_path / "out", shape=(3, 8, 8))

    assert "(8, 3, 8, 8)" in message


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(3),
        HistGradientBoostingClassifier(max_iter=2),
        DecisionTreeClassifier(),
        SVC(),
        KNeighborsClassifier(),
        GaussianNB(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_has_no_neurons_is_refused_by_name(model: BaseEstimator, tmp_path: Path) -> None:
    """No noise on weights can be defined for it, also where a pipeline or a search wraps it."""
    inside = make_pipeline(StandardScaler(), model)

    for folder, one in (("alone", model), ("inside", inside)):
        (tmp_path / folder).mkdir()
        source = pickled(fitted(one), tmp_path / folder)
        message = exports.refused(source, tmp_path / folder / "out")

        assert f"a `{type(model).__name__}` has no neurons to perturb" in message


@pytest.mark.parametrize(
    "model",
    [fitted(LinearRegression()), fitted(KMeans(2, n_init=1)), fitted(StandardScaler()), {"a": 1}],
    ids=lambda model: type(model).__name__,
)
def test_what_is_no_classifier_is_refused_by_name(model: object, tmp_path: Path) -> None:
    """Regressors, clusterers, transformers and other objects have no classes."""
    message = exports.refused(pickled(model, tmp_path), tmp_path / "out")

    assert f"a `{type(model).__name__}`, which is no classifier" in message


def test_an_unfitted_model_is_refused(tmp_path: Path) -> None:
    """Before `fit` there are no weights."""
    message = exports.refused(pickled(network(), tmp_path), tmp_path / "out")

    assert "`MLPClassifier` is not fitted" in message


@pytest.mark.parametrize("model", [network(), RidgeClassifier()])
def test_several_labels_to_an_image_are_refused(model: BaseEstimator, tmp_path: Path) -> None:
    """Only one class may be right, or flipping to a class means nothing."""
    points, labels = data(3)
    model.fit(points, np.eye(3, dtype=int)[labels] | np.eye(3, dtype=int)[(labels + 1) % 3])

    message = exports.refused(pickled(model, tmp_path), tmp_path / "out")

    assert "several labels" in message


def test_a_step_without_an_onnx_form_is_refused(tmp_path: Path) -> None:
    """A function of the user's cannot be written as ONNX."""
    model = fitted(make_pipeline(FunctionTransformer(np.tanh), network()))

    message = exports.refused(pickled(model, tmp_path), tmp_path / "out")

    assert "skl2onnx cannot write the `Pipeline` as ONNX" in message


@pytest.mark.parametrize("kind", ["pickle", "skops"])
@pytest.mark.parametrize(
    "content",
    [b"", b"no model at all", b"\x80\x04", b"PK\x03\x04", b"\x1f\x8b\x08broken"],
    ids=["empty", "text", "cut pickle", "cut zip", "cut gzip"],
)
def test_a_broken_file_is_refused(kind: str, content: bytes, tmp_path: Path) -> None:
    """Whatever is wrong in a file ends in one sentence that names it."""
    path = tmp_path / "model.file"
    path.write_bytes(content)

    message = exports.refused(
        ModelSource(framework="sklearn", path=path, kind=kind), tmp_path / "out"
    )

    assert "scikit-learn cannot load `model.file`" in message


def test_a_class_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A pickle of a package this Python has not says which, and how to name another Python."""
    path = tmp_path / "model.pkl"
    path.write_bytes(b"cxgboost.sklearn\nXGBClassifier\n.")

    message = exports.refused(
        ModelSource(framework="sklearn", path=path, kind="pickle"), tmp_path / "out"
    )

    assert "xgboost" in message
    assert "--python" in message
