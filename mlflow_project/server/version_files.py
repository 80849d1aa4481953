"""The files of a model version as an MLflow server's own process finds them, never opened."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.server import handlers
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.tracking.artifact_utils import _get_root_uri_and_artifact_path

from mlflow_project.uris import is_fetched
from pipeline.gate.attestation import file_digests


def served_file_digests(uri: str) -> dict[str, str]:
    """The sha256 of every file below an artifact URI, by path; of a file that of itself, by name.

    Artifacts that the server serves itself (`mlflow-artifacts:`) are read where it keeps them.

    Raises:
        MlflowException: there are no such artifacts, or they cannot be read from here.
    """
    if not is_fetched(uri):
        raise MlflowException(f"nothing is fetched from `{uri[:80]}`")
    repository, path = served_repository(uri)
    with tempfile.TemporaryDirectory(prefix="ban-gate-") as folder:
        place = Path(repository.download_artifacts(path, dst_path=folder))
        return file_digests(place.parent if place.is_file() else place)


def served_repository(uri: str) -> tuple[ArtifactRepository, str]:
    """The repository of an artifact URI and the path in it, as MLflow's own handler resolves it.

    Others are named from the folder above, where a file has a name.

    Source: `mlflow.server.handlers.get_model_version_artifact_handler`.
    """
    if handlers._is_servable_proxied_run_artifact_root(uri):
        path = handlers._get_proxied_run_artifact_destination_path(proxied_artifact_root=uri)
        scoped = handlers._get_workspace_scoped_repo_path_if_enabled(path)
        return handlers._get_artifact_repo_mlflow_artifacts(), scoped or ""
    root, path = _get_root_uri_and_artifact_path(uri)
    return handlers._get_artifact_repository_for_uri(root), path
