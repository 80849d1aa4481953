"""Keeps protected aliases for versions that pass verification, inside an MLflow server.

It sits in the store, below every handler: every request, of whatever client and spelling, ends in
one of the store's methods, with the names the store itself uses.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.server import handlers
from mlflow.store.model_registry.abstract_store import AbstractStore

from mlflow_project.server.version_files import served_file_digests
from pipeline.gate.policy import Policy
from pipeline.gate.signing import PublicKey
from pipeline.gate.verification import Verification, VersionFacts, verify_version
from pipeline.printable import printable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """The policy that is enforced, and the keys whose attestations count."""

    policy: Policy
    keys: Sequence[PublicKey]

    def protects(self, alias: str) -> bool:
        """Whether an alias, or a stage, is one of the policy's.

        Spellings that some database takes for the same are the same here: case, accents and
        surrounding space do not count, as in MySQL's collations.
        """
        return _folded(alias) in map(_folded, self.policy.protected_aliases)

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

    def _verify(self, store: AbstractStore, version: ModelVersion) -> Verification:
        uri = store.get_model_version_download_uri(version.name, version.version)
        try:
            files = served_file_digests(uri)
        except (MlflowException, OSError) as error:
            reason = f"its files cannot be read by this server: {error}"
            return Verification(valid=False, reasons=(reason,))
        facts = VersionFacts(
            name=version.name, version=int(version.version), tags=version.tags, files=files
        )
        return verify_version(facts, self.policy, self.keys, datetime.now(UTC))


class GuardedStore(AbstractStore):
    """What a guarded store does before its own methods, which `protect` puts behind these.

    The methods of the abstract store are never reached; that is what each `safe-super` ignores.
    """

    guard: Guard

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Sets an alias; a protected one only on a version that passes verification."""
        if self.guard.protects(alias):
            target = self.get_model_version(name, version)
            if not _is_prompt(target):
                self.guard.require_verified(self, target, f"alias `{alias}`")
            name, version = target.name, target.version
        super().set_registered_model_alias(name, alias, version)  # type: ignore[safe-super]

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Moves a version to a stage; one named like a protected alias takes verified ones only."""
        if self.guard.protects(stage):
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
        for alias in filter(self.guard.protects, held):
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


def _folded(name: str) -> str:
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(each for each in letters if not unicodedata.combining(each)).strip()


def _is_prompt(version: ModelVersion) -> bool:
    """Whether it is a text of the prompt registry, which has no artifacts anybody could load."""
    return version.source in _PROMPT_SOURCE_PLACEHOLDERS


def _name(version: ModelVersion) -> str:
    return printable(f"{version.name}/{version.version}")
