"""What is given by a path or a URI, as a path; MLflow is loaded for URIs alone."""

from __future__ import annotations

from pathlib import Path

from mlflow_project.uris import is_uri


def local(path_or_uri: str, folder: Path) -> Path:
    """The path itself, or where the content of a URI lies once downloaded into `folder`.

    Raises:
        ConfigError: the URI is malformed, or of a scheme that nothing is fetched from.
        RegistryError: it is not there, or cannot be fetched.
    """
    if not is_uri(path_or_uri):
        return Path(path_or_uri)
    from mlflow_project.registry import versions  # noqa: PLC0415 (MLflow, where wanted)

    return versions.local(path_or_uri, folder)
