"""Carries a version that passed to another model, workspace or server, without a new scan.

The bytes are copied, and the old attestation must meet what is asked of the new place; the new one
says what it is a copy of and when that was judged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

from mlflow_project import tracking
from mlflow_project.commands import workspace
from mlflow_project.connection import Target, connect
from mlflow_project.gate.decisions import Decided
from mlflow_project.gate.marking import mark
from mlflow_project.gate.statement import tags_of
from mlflow_project.patience import patiently
from mlflow_project.registry import alias, versions
from mlflow_project.registry.recorded import ATTESTATION_FILE, VERSION_TAG, version_mark
from mlflow_project.registry.versions import ModelVersion
from pipeline.gate.attestation import Attestation, Claim, attest
from pipeline.gate.attestation import verify as verify_envelope
from pipeline.gate.keys import PublicKey, Signer
from pipeline.gate.policy import Policy
from pipeline.gate.verification import newest_decision, verify_version
from pipeline.printable import printable

VARIABLES = "BAN_GATE_TO_"
"""Variables that begin so are those of the destination: `BAN_GATE_TO_MLFLOW_TRACKING_TOKEN`."""
NUMBERS = ("MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")
FOLDER = "model"
OUR_TAGS = "ban."


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a version is carried to; without a `target` or `workspace`, those it is in.

    `alias` is moved to the copy, if one is named.
    """

    name: str
    alias: str | None = None
    target: Target
    workspace: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """A version that passed, its files, and the claim that its copy will make."""

    version: ModelVersion
    folder: Path
    claim: Claim


def carry(
    uri: str, to: Destination, policy: Policy, keys: tuple[PublicKey, ...], key: Signer
) -> Decided:
    """Copies a version to another place and attests the copy, if the policy lets it pass there.

    Raises:
        ConfigError: the URI names no version.
        RegistryError: a registry failed.
        TrackingError: the run at the destination could not be recorded.
    """
    version = versions.find_version(MlflowClient(), uri)
    trusted = (*keys, key.public_key)
    with workspace() as folder:
        files = versions.download(version, folder / "files")
        facts = versions.facts_of(version, files.files)
        found = verify_version(facts, policy, trusted, datetime.now(UTC))
        if not found.valid or found.claim is None:
            return _refused(version, found.reasons)
        digest = newest_decision(facts, trusted).digest
        origin = printable(f"{version.uri} sha256:{digest}")
        claim = replace(
            found.claim,
            judged_at=found.claim.judged_at or found.claim.time,
            copied_from=origin,
        )
        taken = _Taken(version=version, folder=files.folder, claim=claim)
        with at(to):
            connect(to.target)
            return _put(taken, to, policy, trusted, key)


def _put(
    taken: _Taken, to: Destination, policy: Policy, keys: tuple[PublicKey, ...], key: Signer
) -> Decided:
    client = MlflowClient()
    with tracking.open_run(f"copy of {taken.version.uri}", to.target):
        number = _registered(client, taken, to)
        made = versions.find_version(client, f"models:/{to.name}/{number}")
        with workspace() as folder:
            files = versions.download(made, folder / "files").files
        claim = replace(
            taken.claim,
            model=made.name,
            version=made.version,
            run_id=tracking.open_run_id(),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        envelope = attest(Attestation(claim=claim, files=files), key)
        place = {VERSION_TAG: version_mark(made.name, made.version)}
        tracking.note({ATTESTATION_FILE: envelope}, {**tags_of(claim), **place})
        mark(made, claim, envelope)
    marked = versions.find_version(client, made.uri)
    checked = verify_version(versions.facts_of(marked, files), policy, keys, datetime.now(UTC))
    digest = verify_envelope(envelope, keys).digest
    line = f"copied    {taken.version.uri} → {made.uri}  sha256 {digest}"
    if not checked.valid:
        return Decided(done=False, line=f"{line}; not promoted: {'; '.join(checked.reasons)}")
    return _promoted(client, made, to, line)


def _promoted(client: MlflowClient, made: ModelVersion, to: Destination, line: str) -> Decided:
    if to.alias is None:
        return Decided(done=True, line=line)
    moved = alias.promote(client, made.name, made.version, to.alias)
    if not moved.moved:
        return Decided(done=False, line=f"{line}; overtaken by version {moved.overtaken_by}")
    before = "none" if moved.previous is None else moved.previous
    return Decided(done=True, line=f"{line}  {to.alias}: {before} → {made.version}")


def _registered(client: MlflowClient, taken: _Taken, to: Destination) -> int:
    """The number of a new version at the destination, with the files, text and tags of the old."""
    with versions.explained(f"cannot copy the version to `{to.name}`"):
        patiently(mlflow.log_artifacts, str(taken.folder), FOLDER)
        patiently(_make_model, client, to.name)
        tags = {k: v for k, v in taken.version.tags.items() if not k.startswith(OUR_TAGS)}
        made = client.create_model_version(
            to.name,
            f"{mlflow.get_artifact_uri().rstrip('/')}/{FOLDER}",
            tracking.open_run_id(),
            tags=tags,
            description=taken.version.description or None,
        )
    return int(made.version)


def _make_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


@contextmanager
def at(to: Destination) -> Iterator[None]:
    """Lets MLflow's clients use the destination, with the variables that are meant for it.

    Variables that number a run or an experiment are about the server they come from.
    """
    uris = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    changed = {
        name.removeprefix(VARIABLES): value
        for name, value in os.environ.items()
        if name.startswith(VARIABLES)
    }
    if to.workspace:
        changed["MLFLOW_WORKSPACE"] = to.workspace
    before = {name: os.environ.get(name) for name in (*changed, "MLFLOW_REGISTRY_URI", *NUMBERS)}
    if to.target.uri:
        for name in NUMBERS:
            os.environ.pop(name, None)
    os.environ.update(changed)
    if to.target.uri:
        mlflow.set_tracking_uri(to.target.uri)
        mlflow.set_registry_uri(to.target.uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(uris[0])
        mlflow.set_registry_uri("" if uris[1] == uris[0] else uris[1])  # else it follows no more
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _refused(version: ModelVersion, reasons: tuple[str, ...]) -> Decided:
    return Decided(
        done=False,
        line=f"refused   `{version.uri}` does not meet the policy ({'; '.join(reasons)}); gate the"
        " version anew where it shall be used",
    )
