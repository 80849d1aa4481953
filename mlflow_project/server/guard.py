"""Keeps protected aliases for versions that pass verification, inside an MLflow server.

It sits in the store, below every handler: every request, of whatever client and spelling, ends in
one of the store's methods, with the names the store itself uses.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.server import handlers
from mlflow.store.model_registry.abstract_store import AbstractStore

from mlflow_project.foreign_errors import foreign
from mlflow_project.registry.recorded import recorded_attestations
from mlflow_project.server.version_files import served_file_digests, served_repository
from pipeline.gate import attestation
from pipeline.gate.attestation import Claim
from pipeline.gate.keys import PublicKey
from pipeline.gate.policy import Policy
from pipeline.gate.rules import Rules
from pipeline.gate.verification import (
    ATTESTATION_TAG,
    Verification,
    VersionFacts,
    is_about,
    order_of,
    trusted_keys,
    verify_version,
)
from pipeline.printable import printable
from stages.errors import AttestationError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """The rules that are enforced, and the keys that count beside those of a policy."""

    rules: Rules
    given_keys: Sequence[PublicKey]

    def policy(self, model: RegisteredModel) -> Policy:
        """The policy of a registered model, by its name and tags."""
        return self.rules.of(model.name, model.tags)

    def protects(self, alias: str, model: RegisteredModel) -> bool:
        """Whether an alias, or a stage, is one of those that the model's policy protects.

        Spellings that some database takes for the same are the same here: case, accents and
        surrounding space do not count, as in MySQL's collations.
        """
        return _folded(alias) in map(_folded, self.policy(model).protected_aliases)

    def require_verified(self, store: AbstractStore, version: ModelVersion, what: str) -> None:
        """Lets a version pass that passes verification.

        Raises:
            MlflowException: the version is not (403, with the reasons), or cannot be verified.
        """
        verification = self._verify(store, version)
        if verification.valid:
            logger.info("%s: %s is allowed", _name(version), what)
            return
        raise refused(
            f"{what} of `{version.name}` is protected and version {version.version} may not have it"
            f" ({'; '.join(verification.reasons)}); run `ban-gate gate models:/{version.name}/"
            f"{version.version}`"
        )

    def require_newest(self, version: ModelVersion, envelope: str | None) -> None:
        """Lets the attestation of a version be replaced by a newer one, and a pass be deleted.

        None stands for deleting it. What no trusted key has signed may always be replaced.

        Raises:
            MlflowException: a newer decision, or a block, would be gone (403).
        """
        standing = self._decision(version, version.tags.get(ATTESTATION_TAG))
        if standing is None:
            return
        if envelope is None and standing.action == "pass":
            return
        given = self._decision(version, envelope)
        if given is None or order_of(given) < order_of(standing):
            raise refused(
                f"the tag `{ATTESTATION_TAG}` of `{version.name}` version {version.version} holds"
                f" the decision `{standing.action}` of {standing.time}, which only a newer one"
                " that a trusted key has signed may replace; gate the version again"
            )

    def _decision(self, version: ModelVersion, envelope: str | None) -> Claim | None:
        """What an envelope says about this version, None if nothing that counts."""
        try:
            claim = attestation.verify(envelope or "", self._all_keys()).claim
        except AttestationError:
            return None
        counts = is_about(claim, version.name, int(version.version)) and not claim.rehearsal
        return claim if counts else None

    def _verify(self, store: AbstractStore, version: ModelVersion) -> Verification:
        try:
            uri = store.get_model_version_download_uri(version.name, version.version)
            facts = _facts(version, served_file_digests(uri))
            model = store.get_registered_model(version.name)
        except Exception as error:
            if (found := foreign(error)) is None:
                raise
            reason = f"its files or runs cannot be read by this server: {found.reason}"
            return Verification(valid=False, reasons=(reason,))
        policy = self.policy(model)
        keys = trusted_keys(policy, *self.given_keys)
        return verify_version(facts, policy, keys, datetime.now(UTC))

    def _all_keys(self) -> tuple[PublicKey, ...]:
        """The keys of any rule: a decision that one of them signed is not put aside."""
        found = [trusted_keys(each) for each in self.rules.policies]
        return (*self.given_keys, *(key for keys in found for key in keys))


class GuardedStore(AbstractStore):
    """What a guarded store does before its own methods, which `protect` puts behind these.

    The methods of the abstract store are never reached; that is what each `safe-super` ignores.
    """

    guard: Guard

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Sets an alias; a protected one only on a version that passes verification."""
        if self.guard.protects(alias, self.get_registered_model(name)):
            target = self.get_model_version(name, version)
            if not _is_prompt(target):
                self.guard.require_verified(self, target, f"alias `{alias}`")
            name, version = target.name, target.version
        super().set_registered_model_alias(name, alias, version)  # type: ignore[safe-super]

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        """Sets a tag; an attestation only in place of an older one."""
        if _folded(tag.key) == ATTESTATION_TAG:
            self.guard.require_newest(self.get_model_version(name, version), tag.value)
        super().set_model_version_tag(name, version, tag)  # type: ignore[safe-super]

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Deletes a tag, but no attestation that blocks."""
        if _folded(key) == ATTESTATION_TAG:
            self.guard.require_newest(self.get_model_version(name, version), None)
        super().delete_model_version_tag(name, version, key)  # type: ignore[safe-super]

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Moves a version to a stage; one named like a protected alias takes verified ones only."""
        if self.guard.protects(stage, self.get_registered_model(name)):
            target = self.get_model_version(name, version)
            self.guard.require_verified(self, target, f"stage `{stage}`")
            name, version = target.name, target.version
        moved: ModelVersion = super().transition_model_version_stage(  # type: ignore[safe-super]
            name, version, stage, archive_existing_versions
        )
        return moved

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Renames a model that holds nothing protected: attestations are about the old name."""
        model = self.get_registered_model(name)
        held = [*model.aliases, *(each.current_stage for each in model.latest_versions)]
        for alias in (each for each in held if self.guard.protects(each, model)):
            raise refused(
                f"`{model.name}` cannot be renamed while it has the protected alias or stage"
                f" `{alias}`, which would come along; take it away first"
            )
        renamed: RegisteredModel = super().rename_registered_model(name, new_name)  # type: ignore[safe-super]
        return renamed


def protect(guard: Guard) -> None:
    """Puts the guard into this process's model registry, before it serves anything."""
    store = handlers._get_model_registry_store()
    kind = type(store)
    store.__class__ = type(f"Guarded{kind.__name__}", (GuardedStore, kind), {"guard": guard})
    assert isinstance(handlers._get_model_registry_store(), GuardedStore)  # noqa: S101 (our logic)


def refused(sentence: str) -> MlflowException:
    """The answer 403 PERMISSION_DENIED with a sentence, which is also logged."""
    logger.warning("refused: %s", printable(sentence))
    return MlflowException(printable(sentence), error_code=PERMISSION_DENIED)


def _facts(version: ModelVersion, files: Mapping[str, str]) -> VersionFacts:
    """What is verified of a version: also what runs of this server say of it."""
    name, number, runs = version.name, int(version.version), handlers._get_tracking_store()
    return VersionFacts(
        name=name,
        version=number,
        tags=version.tags,
        files=files,
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        recorded=recorded_attestations(runs, name, number, served_repository),
    )


def _folded(name: str) -> str:
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(each for each in letters if not unicodedata.combining(each)).strip()


def _is_prompt(version: ModelVersion) -> bool:
    """Whether it is a text of the prompt registry, which has no artifacts anybody could load."""
    return version.source in _PROMPT_SOURCE_PLACEHOLDERS


def _name(version: ModelVersion) -> str:
    return printable(f"{version.name}/{version.version}")
