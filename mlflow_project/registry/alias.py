"""Moves an alias of a registered model, and back.

MLflow cannot compare and set in one step. The rule is that a gate never takes an alias from a newer
version than its own; it reads before and after it sets. Two gates that both read before either has
set can still leave the older one's version (docs/gate.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_project.errors import RegistryError
from mlflow_project.patience import patiently
from mlflow_project.registry.versions import explained

PREVIOUS_TAG = "ban.previous."
ROLLBACK_TAG = "ban.rollback."
TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """The move of an alias: which version held it before, and which newer one holds it now."""

    alias: str
    previous: int | None
    overtaken_by: int | None = None

    @property
    def moved(self) -> bool:
        """Whether the alias points to the version it was to be moved to."""
        return self.overtaken_by is None


def holder(client: MlflowClient, name: str, alias: str) -> int | None:
    """The version an alias points to, None where there is no such alias.

    Raises:
        RegistryError: the server does not answer.
    """
    with explained(f"cannot read the aliases of `{name}`"):
        version = patiently(client.get_registered_model, name).aliases.get(alias)
    return None if version is None else int(version)


def foresee(client: MlflowClient, name: str, version: int, alias: str) -> Promotion:
    """What promoting would do now; nothing is changed.

    Raises:
        RegistryError: the server does not answer.
    """
    before = holder(client, name, alias)
    newer = before if before is not None and before > version else None
    return Promotion(alias=alias, previous=before, overtaken_by=newer)


def promote(client: MlflowClient, name: str, version: int, alias: str) -> Promotion:
    """Points the alias to the version, unless a newer version holds it.

    The version that held it before is noted first, in the model's tag `ban.previous.<alias>`.

    Raises:
        RegistryError: the server does not answer, or somebody keeps moving the alias back.
    """
    promotion = foresee(client, name, version, alias)
    if not promotion.moved:
        return promotion
    with explained(f"cannot move the alias `{alias}` of `{name}`"):
        if promotion.previous not in (None, version):
            _note(client, name, PREVIOUS_TAG + alias, str(promotion.previous))
        for tries_left in reversed(range(TRIES)):
            try:
                patiently(client.set_registered_model_alias, name, alias, str(version))
            except MlflowException:  # two gates that make one alias collide in the database
                if not tries_left:
                    raise
            after = holder(client, name, alias)
            if after == version:
                return promotion
            if after is not None and after > version:
                return replace(promotion, overtaken_by=after)
    raise RegistryError(
        f"the alias `{alias}` of `{name}` was set to version {version} {TRIES} times and is not"
        " there; somebody else keeps moving it, so find out who and gate again"
    )


def _note(client: MlflowClient, name: str, tag: str, value: str) -> None:
    """Sets a tag of the model; two gates that make one tag collide in the database."""
    for tries_left in reversed(range(TRIES)):
        try:
            patiently(client.set_registered_model_tag, name, tag, value)
        except MlflowException:
            if not tries_left:
                raise
        else:
            return


def previous(client: MlflowClient, name: str, alias: str) -> int | None:
    """The version that held the alias before the last promotion, None where none is known.

    Raises:
        RegistryError: the server does not answer, or the note is no version.
    """
    with explained(f"cannot read the tags of `{name}`"):
        version = patiently(client.get_registered_model, name).tags.get(PREVIOUS_TAG + alias)
    if version is None:
        return None
    if not version.isdecimal():
        raise RegistryError(
            f"the tag `{PREVIOUS_TAG}{alias}` of `{name}` is {version[:40]!r}, expected a version;"
            " set it to the number of the version to return to"
        )
    return int(version)


def roll_back(
    client: MlflowClient, name: str, version: int, alias: str, reason: str, now: datetime
) -> Promotion:
    """Points the alias to an earlier version and notes when, from where and why.

    The note goes into the model's tag `ban.rollback.<alias>`; the tag of the previous holder is
    deleted, so that a second rollback does not lead forward again.

    Raises:
        RegistryError: the server does not answer.
    """
    before = holder(client, name, alias)
    note = {"from": before, "to": version, "at": now.isoformat(timespec="seconds")}
    with explained(f"cannot move the alias `{alias}` of `{name}`"):
        text = json.dumps({**note, "reason": reason})
        patiently(client.set_registered_model_tag, name, ROLLBACK_TAG + alias, text)
        patiently(client.set_registered_model_alias, name, alias, str(version))
        patiently(client.delete_registered_model_tag, name, PREVIOUS_TAG + alias)
    return Promotion(alias=alias, previous=before)
