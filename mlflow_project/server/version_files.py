"""The files of a model version as an MLflow server's own process finds them, never opened."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlflow.server import handlers
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from pipeline.gate.attestation import file_digests


def served_file_digests(uri: str) -> dict[str, str]:
    """The sha256 of every file below an artifact URI, by path.

    Artifacts that the server serves itself (`mlflow-artifacts:`) are read where it keeps them.

    Raises:
        MlflowException: there are no such artifacts, or they cannot be read from here.
    """
    repository, path = served_repository(uri)
    with tempfile.TemporaryDirectory(prefix="ban-gate-") as folder:
        return file_digests(Path(repository.download_artifacts(path, dst_path=folder)))


def served_repository(uri: str) -> tuple[ArtifactRepository, str]:
    """The repository of an artifact URI and the path in it, as MLflow's own handler resolves it.

    Source: `mlflow.server.handlers.get_model_version_artifact_handler`.
    """
    if handlers._is_servable_proxied_run_artifact_root(uri):
        path = handlers._get_proxied_run_artifact_destination_path(proxied_artifact_root=uri)
        scoped = handlers._get_workspace_scoped_repo_path_if_enabled(path)
        return handlers._get_artifact_repo_mlflow_artifacts(), scoped or ""
    return handlers._get_artifact_repository_for_uri(uri), ""
