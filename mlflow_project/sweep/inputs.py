"""What a scan needs on this machine: the files of a version, its samples, and their digests."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient

from mlflow_project.errors import RegistryError
from mlflow_project.gate import default_key
from mlflow_project.registry import versions
from mlflow_project.registry.versions import explained
from mlflow_project.sweep.downloads import Downloads
from mlflow_project.uris import is_uri
from pipeline.gate.attestation import Claim, file_digests
from pipeline.gate.keys import PublicKey
from pipeline.gate.policy import Policy
from pipeline.gate.verification import trusted_keys, verify_version
from pipeline.sweep.keys import digest_of, model_digest, path_digest
from pipeline.sweep.plan import Line, Samples
from stages.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Model:
    """The files of one version: where they are, what they were downloaded from, their digest.

    `claim` is what a gate states of exactly these files, if that still holds.
    """

    path: Path
    digest: str
    used: str | None = None
    claim: Claim | None = None


class Inputs:
    """Fetches what scans need; every request to the server of a sweep that only reads is its."""

    def __init__(self, folder: Path, downloads: Downloads, policy: Policy) -> None:
        """`folder` is where samples go that lie in MLflow."""
        self._folder = folder
        self._downloads = downloads
        self._policy = policy
        self._keys = _keys(policy)
        self._samples: dict[Samples, Samples] = {}

    def model(self, line: Line) -> Model:
        """The files of a version; what was downloaded stays until it is released.

        Raises:
            RegistryError: they cannot be fetched.
            ModelRefused: they are where none are fetched from.
            OSError: a local file cannot be read.
        """
        if not is_uri(line.source):
            path = Path(line.source)
            return Model(path=path, digest=model_digest(path))
        version = versions.find_version(MlflowClient(), line.source)
        uri = version.files_uri
        folder = self._downloads.use(uri, lambda new: versions.download(version, new).folder)
        claim = None
        try:
            if line.standing == "attested":
                facts = versions.facts_of(version, file_digests(folder))
                found = verify_version(facts, self._policy, self._keys, datetime.now(UTC))
                claim = found.claim if found.valid else None
            return Model(path=folder, digest=model_digest(folder), used=uri, claim=claim)
        except BaseException:
            self._downloads.release(uri)
            raise

    def keep(self, model: Model) -> None:
        """Says that a model's files are needed once more."""
        if model.used:
            self._downloads.use(model.used, lambda new: new)

    def server_answers(self) -> bool:
        """Whether the registry answers at all."""
        try:
            with explained("cannot reach the registry"):
                MlflowClient().search_registered_models(max_results=1)
        except RegistryError:
            return False
        return True

    def release(self, model: Model) -> None:
        """Says that a model's files are not needed any more."""
        if model.used:
            self._downloads.release(model.used)

    def samples(self, given: Samples) -> Samples:
        """The samples with every path on this machine, and their digest.

        Raises:
            RegistryError: they cannot be fetched.
            ConfigError: they are not those that were planned with.
        """
        if given not in self._samples:
            self._samples[given] = self._fetched(given)
        return self._samples[given]

    def _fetched(self, given: Samples) -> Samples:
        place = self._folder / digest_of(given.path)[:20]
        path = versions.local(given.path, place)
        references = tuple(
            str(versions.local(each, place / f"reference-{number}"))
            for number, each in enumerate(given.reference)
        )
        named = (given.class_names,) if given.class_names else ()
        places = (str(path), *named, *references)
        digest = digest_of([*map(path_digest, map(Path, places)), given.preprocess])
        if given.digest and digest != given.digest:
            raise ConfigError(
                f"the samples `{given.path}` have changed since the plan was made; plan again"
            )
        return replace(given, path=str(path), reference=references, digest=digest)


def _keys(policy: Policy) -> tuple[PublicKey, ...]:
    try:
        return trusted_keys(policy, *default_key.known_keys(policy, ()))
    except ConfigError:  # none is known: then no attestation counts
        return trusted_keys(policy)
