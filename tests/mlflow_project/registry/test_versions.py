"""Versions of registered models and their aliases, in a real registry of MLflow."""

from __future__ import annotations

import doctest
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
from mlflow import MlflowClient

from mlflow_project import uris
from mlflow_project.errors import RegistryError
from mlflow_project.registry import alias, versions
from stages.errors import ConfigError

pytestmark = pytest.mark.usefixtures("mlflow_settings")


@pytest.fixture
def client(sqlite_store: str) -> MlflowClient:
    """A client of a registry in a database."""
    mlflow.set_tracking_uri(sqlite_store)
    return MlflowClient()


@pytest.fixture
def name(client: MlflowClient, tmp_path: Path) -> str:
    """A registered model of the test's own, with three versions."""
    chosen = f"net-{uuid4().hex[:8]}"
    client.create_registered_model(chosen)
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "MLmodel").write_text(f"number: {number}")
        client.create_model_version(chosen, folder.as_uri())
    return chosen


def test_the_docstring_is_right() -> None:
    """Its examples run and give what they say."""
    outcome = doctest.testmod(uris)

    assert outcome.attempted
    assert not outcome.failed


def test_a_version_is_found_by_number_alias_and_latest(client: MlflowClient, name: str) -> None:
    """The three spellings of a URI lead to the version they name."""
    client.set_registered_model_alias(name, "champion", "2")

    assert versions.find_version(client, f"models:/{name}/1").version == 1
    assert versions.find_version(client, f"models:/{name}@champion").version == 2
    assert versions.find_version(client, f"models:/{name}/latest").version == 3


@pytest.mark.parametrize("uri", ["models:/m-123", "runs:/1/model", "models:/a/b/c", "models:/@x"])
def test_what_names_no_version_is_wrong_usage(client: MlflowClient, uri: str) -> None:
    """A URI of something else is refused with the spelling that is expected."""
    with pytest.raises(ConfigError, match="models:/NAME/VERSION"):
        versions.find_version(client, uri)


def test_a_missing_version_is_a_failure_of_the_registry(client: MlflowClient, name: str) -> None:
    """A version that does not exist is an error where it is asked for, and None where it is looked
    for.
    """
    with pytest.raises(RegistryError, match="cannot find"):
        versions.find_version(client, f"models:/{name}/9")
    assert versions.existing_version(client, name, 9) is None


def test_files_come_with_their_digests(client: MlflowClient, name: str, tmp_path: Path) -> None:
    """A download holds the version's own files, each with its digest."""
    version = versions.find_version(client, f"models:/{name}/2")

    downloaded = versions.download(version, tmp_path / "downloaded")

    assert (downloaded.folder / "MLmodel").read_text() == "number: 1"
    assert set(downloaded.files) == {"MLmodel"}
    assert len(downloaded.files["MLmodel"]) == 64


def test_an_alias_never_leaves_a_newer_version(client: MlflowClient, name: str) -> None:
    """Promotion moves forward alone, notes the holder before, and a rollback returns to it."""
    first = alias.promote(client, name, 1, "champion")
    second = alias.promote(client, name, 3, "champion")
    late = alias.promote(client, name, 2, "champion")

    assert first.moved
    assert second.moved
    assert second.previous == 1
    assert (late.moved, late.overtaken_by) == (False, 3)
    assert alias.holder(client, name, "champion") == 3
    assert alias.previous(client, name, "champion") == 1
