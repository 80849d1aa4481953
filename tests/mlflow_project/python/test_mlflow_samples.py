"""Clean samples that lie in MLflow: an artifact, a data set, the input of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

import ban_gate
from tests.support.gating import call
from tests.support.pictures import MODEL, digits, save_digits

pytestmark = [
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:The specified dataset source can be interpreted"),
    pytest.mark.filterwarnings("ignore:Starting with pandas version 4.0"),
    pytest.mark.filterwarnings("ignore:Failed to determine whether UCVolumeDatasetSource"),
]
FEW = 60
"""Samples, too few for a verdict: what is said shows that all were read."""
TOLD = "only 60 clean samples"


@pytest.fixture(autouse=True)
def store(sqlite_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of runs, which the caller has not chosen."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    mlflow.set_tracking_uri(sqlite_store)
    return sqlite_store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Few samples in a file."""
    images, labels = digits(FEW)
    np.savez(tmp_path / "clean.npz", images=images, labels=labels)
    return tmp_path / "clean.npz"


@pytest.mark.parametrize("kind", ["file", "pictures"])
def test_an_artifact_is_named_by_its_uri(kind: str, file: Path, store: str, tmp_path: Path) -> None:
    """It is looked for at the tracking URI that is given, or where MLflow is."""
    folder = save_digits(tmp_path / "pictures", FEW)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file))
        mlflow.log_artifacts(str(folder), "pictures")
    uri = f"runs:/{run.info.run_id}/{'clean.npz' if kind == 'file' else 'pictures'}"

    assert ban_gate.scan(MODEL, uri).reasons[0].startswith(TOLD)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'own.db'}")
    assert ban_gate.scan(MODEL, uri, tracking_uri=store).reasons[0].startswith(TOLD)


def test_the_command_takes_the_same_uri_and_records_the_scan(file: Path, store: str) -> None:
    """The run's own input names the place where the file really lies."""
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file))

    uri = f"runs:/{run.info.run_id}/clean.npz"
    told = call("scan", MODEL, "--samples", uri, "--tracking-uri", store, "--experiment", "command")

    assert told.exit_code == 3, told.stderr
    (recorded,) = mlflow.search_runs(experiment_names=["command"], output_format="list")
    (given,) = recorded.inputs.dataset_inputs
    assert f"{run.info.run_id}/artifacts/clean.npz" in given.dataset.source
    assert recorded.data.tags["ban.verdict"] == "inconclusive"


def test_a_model_in_mlflow_is_looked_for_where_the_run_goes(
    file: Path, store: str, tmp_path: Path
) -> None:
    """And a reference, which keeps its URI as its name."""
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(MODEL), "model")
    uri = f"runs:/{run.info.run_id}/model/clean.onnx"
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'own.db'}")

    result = ban_gate.scan(uri, file, tracking_uri=store, experiment="found")

    document: Any = result.to_dict()
    assert document["model"]["uri"] == uri
    assert result.reasons[0].startswith(TOLD)
    mlflow.set_tracking_uri(store)
    (recorded,) = mlflow.search_runs(experiment_names=["found"], output_format="list")
    assert recorded.data.tags["ban.verdict"] == "inconclusive"


def name_of(file: Path) -> str:
    """A name that no other data set of the store has, which would be taken for the same."""
    return file.parent.name


def in_memory(file: Path) -> Any:
    images, labels = digits(FEW)
    return mlflow.data.from_numpy(images, targets=labels, name=name_of(file))


def of_a_run(file: Path) -> Any:
    images, labels = digits(FEW)
    made = mlflow.data.from_numpy(images, targets=labels, source=str(file), name=name_of(file))
    with mlflow.start_run() as run:
        mlflow.log_input(made, context="validation")
    return mlflow.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset


def of_an_artifact(file: Path) -> Any:
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file))
        images, labels = digits(FEW)
        source = f"{run.info.artifact_uri}/clean.npz"
        mlflow.log_input(
            mlflow.data.from_numpy(images, targets=labels, source=source, name=name_of(file))
        )
    return mlflow.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset


def as_meta(file: Path) -> Any:
    return mlflow.data.meta_dataset.MetaDataset(
        mlflow.data.dataset_source_registry.resolve_dataset_source(str(file)), name="clean"
    )


@pytest.mark.parametrize("make", [in_memory, of_a_run, of_an_artifact, as_meta])
def test_a_data_set_is_read(make: Callable[[Path], Any], file: Path) -> None:
    """From memory, or from the place that it names."""
    assert ban_gate.scan(MODEL, make(file)).reasons[0].startswith(TOLD)


def without_targets(_file: Path) -> Any:
    return mlflow.data.from_numpy(digits(FEW)[0], name="bare")


def of_code(file: Path) -> Any:
    with mlflow.start_run() as run:
        mlflow.log_input(in_memory(file))
    return mlflow.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset


def gone(file: Path) -> Any:
    found = of_a_run(file)
    file.unlink()
    return found


def a_table(_file: Path) -> Any:
    return mlflow.data.from_pandas(pd.DataFrame({"x": [1.0, 2.0]}), name="table")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (without_targets, "`bare` has no targets; make it with"),
        (of_code, "names no place that samples can be read from; give arrays"),
        (gone, "cannot read the data set .*No such artifact: 'clean.npz'"),
        (a_table, "`table` names no place that samples can be read from"),
    ],
)
def test_a_data_set_without_samples_is_told(
    make: Callable[[Path], Any], told: str, file: Path
) -> None:
    """With what to give in its stead."""
    with pytest.raises(ban_gate.BanGateError, match=told):
        ban_gate.scan(MODEL, make(file))
