"""What people decide about a version that was gated: revoke it, approve it, promote it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient

from mlflow_project import connection, tracking
from mlflow_project.alias_names import require_alias
from mlflow_project.commands import workspace
from mlflow_project.gate.marking import mark
from mlflow_project.gate.statement import tags_of
from mlflow_project.patience import patiently
from mlflow_project.registry import alias, versions
from mlflow_project.registry.recorded import ATTESTATION_FILE, VERSION_TAG, version_mark
from mlflow_project.registry.versions import ModelVersion
from mlflow_project.run_contents import CLASS_NAME_TAG
from pipeline.gate import approval
from pipeline.gate.approval import Approval
from pipeline.gate.attestation import Attestation, Signed, attest
from pipeline.gate.keys import PublicKey, Signer
from pipeline.gate.policy import Policy
from pipeline.gate.verification import ATTESTATION_TAG, newest_decision
from stages.errors import AttestationError, ConfigError


@dataclass(frozen=True, kw_only=True)
class Decided:
    """Whether it was done, and a line that says what, or why not."""

    done: bool
    line: str


def revoke(
    uri: str, keys: tuple[PublicKey, ...], key: Signer, reason: str, target: connection.Target
) -> Decided:
    """Takes the newest decision on a version back, by a signed block in a run and in its tags.

    Raises:
        AttestationError: the version was never gated, or by nobody who is trusted.
        ConfigError: the URI names no version, or there is no reason.
        RegistryError: the registry failed.
        TrackingError: the run could not be recorded; nothing is revoked.
    """
    _require_reason(reason)
    connection.connect(target)
    version = versions.find_version(MlflowClient(), uri)
    before = _newest(version, (*keys, key.public_key))
    with tracking.open_run(f"revoke {version.uri}", target):
        claim = replace(
            before.claim,
            action="block",
            outcome="FAILED",
            reasons=(f"revoked: {reason}",),
            waiver=None,
            revoked=reason,
            run_id=tracking.open_run_id(),
            time=max(datetime.now(UTC), before.claim.decided).isoformat(timespec="seconds"),
        )
        envelope = attest(Attestation(claim=claim, files=before.attestation.files), key)
        place = {VERSION_TAG: version_mark(version.name, version.version)}
        tracking.note({ATTESTATION_FILE: envelope}, {**tags_of(claim), **place})
        mark(version, claim, envelope, version.tags.get(CLASS_NAME_TAG))
    held = f"; it still holds {', '.join(version.aliases)}" if version.aliases else ""
    return Decided(done=True, line=f"revoked   {version.uri}  sha256 {before.digest}{held}")


def approve(uri: str, keys: tuple[PublicKey, ...], key: Signer, reason: str) -> Decided:
    """Adds the word of another key to the newest decision on a version, if that is a pass.

    Raises:
        AttestationError: the version was never gated, or by nobody who is trusted.
        ConfigError: the URI names no version, or there is no reason.
        RegistryError: the registry failed.
    """
    _require_reason(reason)
    version = versions.find_version(MlflowClient(), uri)
    newest = _newest(version, (*keys, key.public_key))
    if key.public_key.keyid in newest.signers:
        return _refused("this key signed the attestation; another one has to approve it")
    if newest.claim.action != "pass":
        return _refused(f"the newest decision on `{version.uri}` is a block")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = approval.sign(Approval(attestation=newest.digest, reason=reason, time=now), key)
    with versions.explained(f"cannot tag `{version.uri}`"):
        tag = approval.tag_of(key.public_key)
        place = (version.name, str(version.version))
        patiently(MlflowClient().set_model_version_tag, *place, tag, said)
    return Decided(done=True, line=f"approved  {version.uri}  sha256 {newest.digest}")


def promote(uri: str, name: str, policy: Policy, keys: tuple[PublicKey, ...]) -> Decided:
    """Moves the alias `name` to a version that passes verification now, never off a newer one.

    Raises:
        ConfigError: the URI names no version.
        RegistryError: the registry failed.
    """
    require_alias(name)
    client = MlflowClient()
    version = versions.find_version(client, uri)
    with workspace() as folder:
        found = versions.verify(version, policy, keys, datetime.now(UTC), Path(folder))
    if not found.valid:
        return _refused(f"`{version.uri}` does not pass verification: {'; '.join(found.reasons)}")
    moved = alias.promote(client, version.name, version.version, name)
    if not moved.moved:
        return _refused(f"overtaken by version {moved.overtaken_by}, which holds `{name}`")
    before = "none" if moved.previous is None else moved.previous
    return Decided(
        done=True, line=f"promoted  {version.name}  {name}: {before} → {version.version}"
    )


def _newest(version: ModelVersion, keys: tuple[PublicKey, ...]) -> Signed:
    if ATTESTATION_TAG not in version.tags:
        raise AttestationError(f"`{version.uri}` was never gated; there is no decision to act on")
    return newest_decision(versions.facts_of(version, {}), keys)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise ConfigError("the reason is empty; say why, for whoever reads it later")


def _refused(why: str) -> Decided:
    return Decided(done=False, line=f"refused   {why}")
