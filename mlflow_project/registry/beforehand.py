"""What would stop a gate at its end, found before its scan."""

from __future__ import annotations

from mlflow import MlflowClient

from mlflow_project.patience import patiently
from mlflow_project.registry.versions import explained

PROBE_TAG = "ban.nothing"
"""A tag that no model has: to delete it changes nothing, and asks for the right to write."""


def require_writable(client: MlflowClient, name: str) -> None:
    """Asks the registry whether this caller may change the model; nothing is changed.

    Raises:
        RegistryError: the caller may not, or the server does not answer.
    """
    with explained(f"cannot tag versions of `{name}`"):
        patiently(client.delete_registered_model_tag, name, PROBE_TAG)
