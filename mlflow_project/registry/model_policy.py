"""Which policy of a file is that of a registered model."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from mlflow_project.connection import Target, connect
from mlflow_project.patience import patiently
from mlflow_project.registry.versions import explained, model_name
from mlflow_project.uris import is_uri
from pipeline.gate.policy import Policy
from pipeline.gate.rules import Rules


def policy_for(rules: Rules, name_or_uri: str, target: Target) -> Policy:
    """The policy of a model that is given by its name or by a URI of one of its versions.

    The registry is asked for the model's tags only if a rule needs them; a model that does not
    exist has none.

    Raises:
        ConfigError: the URI names no version.
        TrackingError, RegistryError: the server does not answer.
    """
    name = model_name(name_or_uri) if is_uri(name_or_uri) else name_or_uri
    if not rules.need_tags:
        return rules.of(name, {})
    connect(target)
    with explained(f"cannot read the tags of `{name}`"):
        return rules.of(name, patiently(_tags, name))


def _tags(name: str) -> dict[str, str]:
    try:
        return dict(MlflowClient().get_registered_model(name).tags)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return {}
