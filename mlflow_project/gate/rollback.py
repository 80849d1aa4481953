"""Returns an alias to the version that held it before, if that still passes verification."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient

from mlflow_project.commands import workspace
from mlflow_project.registry import alias, versions
from pipeline.gate.keys import PublicKey
from pipeline.gate.policy import Policy


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """Whether an alias was returned to an earlier version, and a line that says so or why not."""

    returned: bool
    line: str


def roll_back(
    name: str,
    alias_name: str,
    policy: Policy,
    keys: tuple[PublicKey, ...],
    *,
    forced: bool,
    reason: str,
) -> Rollback:
    """Returns an alias to its previous version if that passes verification, or if it is forced.

    Raises:
        RegistryError: there is no such model, or the server does not answer.
    """
    client, now = MlflowClient(), datetime.now(UTC)
    before = alias.previous(client, name, alias_name)
    if before is None:
        note = f"`{alias.PREVIOUS_TAG}{alias_name}`"
        return _refused(f"no earlier holder of `{alias_name}` is noted in {note} of `{name}`")
    version = versions.existing_version(client, name, before)
    if version is None:
        return _refused(f"version {before} of `{name}` does not exist any more")
    with workspace() as folder:
        verification = versions.verify(version, policy, keys, now, folder)
    if not verification.valid and not forced:
        return _refused(
            f"version {before} of `{name}` does not pass verification:"
            f" {'; '.join(verification.reasons)}; gate it again, or use --force with a --reason"
        )
    promotion = alias.roll_back(client, name, before, alias_name, reason, now)
    line = f"returned  {name}  {alias_name}: {promotion.previous} → {before}"
    return Rollback(returned=True, line=line)


def _refused(why: str) -> Rollback:
    return Rollback(returned=False, line=f"refused   {why}")
