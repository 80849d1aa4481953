"""Puts a decision on a version: the card in its description, the tags, the attestation last."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, ErrorCode

from mlflow_project.gate.card import with_card
from mlflow_project.gate.statement import FORMER_TAGS, TAGS, tags_of
from mlflow_project.patience import patiently
from mlflow_project.registry import versions
from mlflow_project.registry.versions import ModelVersion
from mlflow_project.run_contents import CLASS_NAME_TAG
from pipeline.gate.attestation import Claim
from pipeline.gate.verification import ATTESTATION_TAG
from pipeline.printable import printable


def mark(version: ModelVersion, claim: Claim, envelope: str, class_name: str | None = None) -> None:
    """Marks a version with a claim and its attestation, and drops the tags of an earlier one.

    `class_name` is what the suspected class is called; whoever made the model chose it, so it is
    shown and not attested.

    Raises:
        RegistryError: the server does not answer or refuses.
    """
    client, number = MlflowClient(), str(version.version)
    tags = {**tags_of(claim), ATTESTATION_TAG: envelope}
    if class_name:
        tags[CLASS_NAME_TAG] = printable(class_name)
    with versions.explained(f"cannot tag `{version.uri}`"):
        card = with_card(version.description, claim, class_name)
        patiently(client.update_model_version, version.name, number, card)
        for key in {*TAGS, *FORMER_TAGS, CLASS_NAME_TAG} & set(version.tags) - set(tags):
            patiently(_drop, client, version.name, number, key)
        for key, value in tags.items():
            patiently(client.set_model_version_tag, version.name, number, key, value)


def _drop(client: MlflowClient, name: str, number: str, key: str) -> None:
    """Deletes a tag, or empties it: MLflow's right to edit a model is none to delete its tags."""
    try:
        client.delete_model_version_tag(name, number, key)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(PERMISSION_DENIED):
            raise
        client.set_model_version_tag(name, number, key, "")
