"""Puts a decision on a version: the card in its description, the tags, the attestation last."""

from __future__ import annotations

from mlflow import MlflowClient

from mlflow_project.gate.card import with_card
from mlflow_project.gate.statement import FORMER_TAGS, TAGS, tags_of
from mlflow_project.registry import versions
from mlflow_project.registry.versions import ModelVersion
from pipeline.gate.attestation import Claim
from pipeline.gate.verification import ATTESTATION_TAG


def mark(version: ModelVersion, claim: Claim, envelope: str) -> None:
    """Marks a version with a claim and its attestation, and drops the tags of an earlier one.

    Raises:
        RegistryError: the server does not answer or refuses.
    """
    client, number = MlflowClient(), str(version.version)
    tags = {**tags_of(claim), ATTESTATION_TAG: envelope}
    with versions.explained(f"cannot tag `{version.uri}`"):
        client.update_model_version(version.name, number, with_card(version.description, claim))
        for key in {*TAGS, *FORMER_TAGS} & set(version.tags) - set(tags):
            client.delete_model_version_tag(version.name, number, key)
        for key, value in tags.items():
            client.set_model_version_tag(version.name, number, key, value)
