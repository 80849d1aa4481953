"""Models and samples that lie in MLflow: found by their URI, downloaded, and never loaded.

Files of a registered version are taken from its source itself: MLflow adds a file of its own to
what it downloads by `models:/name/version`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion as Registered
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from mlflow_project import connection
from mlflow_project.errors import RegistryError
from mlflow_project.patience import patiently
from mlflow_project.registry.recorded import recorded_attestations
from mlflow_project.uris import FETCHED, is_fetched, is_uri
from pipeline.gate.attestation import file_digests
from pipeline.gate.keys import PublicKey
from pipeline.gate.policy import Policy
from pipeline.gate.verification import ATTESTATION_TAG, Verification, VersionFacts, verify_version
from stages.errors import ConfigError, ModelRefused

LOOK_BACK = 50
"""How many versions before its own a gate looks through for references."""

_LOGGED_MODEL = "m-"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One version of a registered model as the registry describes it.

    `files_uri` is where its files are; `model_id` names the LoggedModel it was made from, if any;
    `created` is when the registry made it.
    """

    name: str
    version: int
    files_uri: str
    model_id: str | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created: datetime | None = None

    @property
    def uri(self) -> str:
        """The version as `models:/name/version`."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """A version's files in a folder, and the sha256 of each."""

    folder: Path
    files: Mapping[str, str]


def find_version(client: MlflowClient, uri: str) -> ModelVersion:
    """The registered version that `models:/name/3`, `models:/name@alias` or `…/latest` names.

    Raises:
        ConfigError: the URI names no version of a registered model.
        RegistryError: there is no such model, version or alias, or the server does not answer.
    """
    name, number, alias = _parts(uri)
    with explained(f"cannot find `{uri}`"):
        return patiently(_found, client, name, number, alias)


def model_name(uri: str) -> str:
    """The registered model that a URI of one of its versions names.

    Raises:
        ConfigError: it names no version of a registered model.
    """
    return _parts(uri)[0]


def existing_version(client: MlflowClient, name: str, number: int) -> ModelVersion | None:
    """That version of a registered model, None where it does not exist.

    Raises:
        RegistryError: the server does not answer.
    """
    with explained(f"cannot look for `models:/{name}/{number}`"):
        try:
            return patiently(_found, client, name, str(number), "")
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return None


def download(version: ModelVersion, folder: Path) -> Downloaded:
    """The files of a version, in a folder that is made for them.

    A version whose source is one file is a folder that holds this file alone.

    Raises:
        ModelRefused: they are where none are fetched from.
        RegistryError: they cannot be fetched.
    """
    if not is_fetched(version.files_uri):
        raise ModelRefused(_elsewhere(f"the files of `{version.uri}`", version.files_uri))
    place = _fetched(version.files_uri, version.uri, folder)
    files_folder = place.parent if place.is_file() else place
    return Downloaded(folder=files_folder, files=file_digests(files_folder))


def local(path_or_uri: str, folder: Path) -> Path:
    """The path itself, or where the content of a URI lies once downloaded into `folder`.

    Raises:
        ConfigError: the URI is malformed, or of a scheme that nothing is fetched from.
        RegistryError: it is not there, or cannot be fetched.
    """
    if not is_uri(path_or_uri):
        return Path(path_or_uri)
    if _is_version(path_or_uri):
        return download(find_version(MlflowClient(), path_or_uri), folder).folder
    if not is_fetched(path_or_uri):
        raise ConfigError(_elsewhere("what is asked for", path_or_uri))
    return _fetched(path_or_uri, path_or_uri, folder)


def verify(
    version: ModelVersion,
    policy: Policy,
    keys: Sequence[PublicKey],
    now: datetime,
    folder: Path,
) -> Verification:
    """Whether a version may be promoted now; its files go into `folder` if it was ever gated.

    Raises:
        RegistryError: they cannot be fetched.
    """
    files = download(version, folder).files if ATTESTATION_TAG in version.tags else {}
    return verify_version(facts_of(version, files), policy, keys, now)


def facts_of(version: ModelVersion, files: Mapping[str, str] | None) -> VersionFacts:
    """What is verified of a version with these files: also what runs say of it.

    Raises:
        RegistryError: the server does not answer.
    """
    with explained(f"cannot look for the runs about `{version.uri}`"):
        recorded = patiently(recorded_attestations, MlflowClient(), version.name, version.version)
    return VersionFacts(
        name=version.name,
        version=version.version,
        tags=version.tags,
        files=files,
        created=version.created,
        recorded=recorded,
    )


def accepted_before(
    client: MlflowClient,
    version: ModelVersion,
    policy: Policy,
    keys: Sequence[PublicKey],
    now: datetime,
    folder: Path,
) -> dict[str, Path]:
    """The newest earlier versions, by URI, that were judged clean and pass verification.

    At most as many as the policy asks for; one that passed by a waiver is no reference. Signature
    and verdict are looked at before the files are fetched; one whose files are gone is left out.

    Raises:
        RegistryError: the server does not answer.
    """
    references: dict[str, Path] = {}
    oldest = max(0, version.version - 1 - LOOK_BACK)
    for number in range(version.version - 1, oldest, -1):
        if len(references) >= policy.references:
            break
        earlier = existing_version(client, version.name, number)
        if earlier is None or not _may_be_reference(earlier, policy, keys, now):
            continue
        try:
            found = download(earlier, folder / str(number))
        except RegistryError as error:
            if error.outage:
                raise
            logger.warning("%s is not compared with: %s", earlier.uri, error)
            continue
        if _is_clean(verify_version(facts_of(earlier, found.files), policy, keys, now)):
            references[earlier.uri] = found.folder
    return references


def _may_be_reference(
    earlier: ModelVersion, policy: Policy, keys: Sequence[PublicKey], now: datetime
) -> bool:
    """Whether a version passes verification but for its files, none of which is fetched."""
    if ATTESTATION_TAG not in earlier.tags or not is_fetched(earlier.files_uri):
        return False
    return _is_clean(verify_version(facts_of(earlier, None), policy, keys, now))


def _is_clean(found: Verification) -> bool:
    return found.valid and found.claim is not None and found.claim.verdict == "clean"


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns what MLflow and its storage raise into one sentence that begins with `what`.

    Raises:
        RegistryError: they failed.
    """
    with connection.explained(what, RegistryError):
        yield


def _elsewhere(what: str, uri: str) -> str:
    return (
        f"{what} lies at `{uri[:80]}`, expected a local path or one of the schemes"
        f" {', '.join(sorted(FETCHED - {''}))}; put it into the artifact store of MLflow"
    )


def _fetched(uri: str, name: str, folder: Path) -> Path:
    with explained(f"cannot download `{name}`"):
        folder.mkdir(parents=True, exist_ok=True)
        fetch = mlflow.artifacts.download_artifacts
        return Path(patiently(fetch, artifact_uri=uri, dst_path=str(folder)))


def _is_version(uri: str) -> bool:
    """Whether a URI names a version, rather than a LoggedModel or an artifact."""
    path = uri.removeprefix("models:/")
    return path != uri and path.count("/") < 2 and ("/" in path or "@" in path)


def _parts(uri: str) -> tuple[str, str, str]:
    """Name, number and alias of a URI; one of the latter two is empty."""
    path = uri.removeprefix("models:/")
    name, slash, number = path.rpartition("/")
    if _is_version(uri) and slash and name and (number.isdecimal() or number == "latest"):
        return name, number, ""
    name, at, alias = path.rpartition("@")
    if _is_version(uri) and at and name and alias and not slash:
        return name, "", alias
    raise ConfigError(
        f"`{uri}` names no version of a registered model; expected models:/NAME/VERSION or"
        " models:/NAME@ALIAS"
    )


def _found(client: MlflowClient, name: str, number: str, alias: str) -> ModelVersion:
    if alias:
        number = client.get_model_version_by_alias(name, alias).version
    elif number == "latest":
        number = _latest(client, name)
    return _version(client, client.get_model_version(name, str(number)))


def _latest(client: MlflowClient, name: str) -> str:
    newest = client.get_registered_model(name).latest_versions  # by stage; None is one, too
    if not newest:
        raise MlflowException(f"registered model {name} has no version")
    return str(max(int(each.version) for each in newest))


def _version(client: MlflowClient, registered: Registered) -> ModelVersion:
    source = str(registered.source)
    model_id = source.removeprefix("models:/")
    return ModelVersion(
        name=str(registered.name),
        version=int(registered.version),
        files_uri=client.get_model_version_download_uri(registered.name, registered.version),
        model_id=model_id if model_id != source and model_id.startswith(_LOGGED_MODEL) else None,
        description=registered.description or "",
        tags=dict(registered.tags),
        aliases=tuple(registered.aliases),
        created=datetime.fromtimestamp(registered.creation_timestamp / 1000, UTC),
    )
