"""What there is to judge: the versions of a registry, the models of a folder or of a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient

from mlflow_project.registry import versions
from mlflow_project.registry.versions import ModelVersion, explained
from mlflow_project.uris import is_uri
from pipeline.gate import attestation
from pipeline.gate.keys import PublicKey
from pipeline.gate.policy import Policy
from pipeline.gate.verification import ATTESTATION_TAG, is_about, verify_version
from pipeline.printable import printable
from pipeline.sweep.plan import Standing
from stages.errors import AttestationError, ConfigError
from stages.export.detect import MODEL_SUFFIXES

REGISTRY = re.compile(r"(https?|databricks|databricks-uc|sqlite|postgresql|mysql|mssql)(\+\w+)?:")
PAGE = 500
"""Versions that are asked for at once."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One version: where it is, and whether it needs to be judged. `version` is 0 for a file."""

    name: str
    version: int
    source: str
    standing: Standing = "never gated"
    why: str = ""
    content_digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Registered:
    """Which versions of a registry are wanted, and what makes one's attestation good.

    `models` are patterns of names; `newest` is how many of each model's versions, 0 for all.
    """

    policy: Policy
    keys: tuple[PublicKey, ...]
    models: tuple[str, ...] = ()
    newest: int = 0


def is_registry(source: str) -> bool:
    """Whether a source is the URI of an MLflow server or store."""
    return bool(REGISTRY.match(source))


def without_credentials(uri: str) -> str:
    """The URI without a user and password in it, which belong into no file."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def found_in(source: str, wanted: Registered) -> Iterator[Found]:
    """Everything that a source names.

    Raises:
        ConfigError: it names nothing.
        RegistryError: the registry does not answer.
    """
    path = Path(source)
    if is_registry(source):
        yield from in_registry(wanted)
    elif is_uri(source):
        yield _registered(versions.find_version(MlflowClient(), source), wanted)
    elif path.is_dir():
        yield from in_folder(path)
    elif path.is_file():
        yield from in_list(path, wanted)
    else:
        raise ConfigError(
            f"`{printable(source)}` is no registry, folder or file; give an MLflow URI such as"
            " http://host:5000, a folder of models, or a file with a model on each line"
        )


def in_registry(wanted: Registered) -> Iterator[Found]:
    """The versions of the registry that MLflow is set to.

    Raises:
        RegistryError: it does not answer.
    """
    for found in _newest(_all_versions(), wanted):
        yield _registered(found, wanted)


def in_folder(folder: Path) -> Iterator[Found]:
    """The models in a folder and below: files with the suffix of a model, and folders that MLflow
    wrote. A link is not followed.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name.startswith("."):
            continue
        if path.is_dir() and not (path / "MLmodel").is_file():
            for inner in in_folder(path):
                yield Found(name=f"{path.name}/{inner.name}", version=0, source=inner.source)
        elif path.is_dir() or path.suffix.lower() in MODEL_SUFFIXES:
            yield Found(name=path.name, version=0, source=str(path.absolute()))


def in_list(path: Path, wanted: Registered) -> Iterator[Found]:
    """The models of a text file, one path or `models:/…` on each line; `#` begins a comment.

    Raises:
        ConfigError: a path is not there, or the file is no text.
        RegistryError: the registry does not answer or has no such version.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"`{path}` cannot be read as a list ({error}); write a path or models:/NAME/VERSION on"
            " each line"
        ) from error
    for line in filter(None, (each.partition("#")[0].strip() for each in lines)):
        if is_uri(line):
            yield _registered(versions.find_version(MlflowClient(), line), wanted)
            continue
        model = path.absolute().parent / line
        if not model.exists():
            raise ConfigError(f"`{printable(line)}` of the list `{path}` does not exist")
        yield Found(name=model.name, version=0, source=str(model))


def _all_versions() -> Iterator[ModelVersion]:
    client, token = MlflowClient(), None
    while True:
        with explained("cannot list the versions"):
            page = client.search_model_versions(max_results=PAGE, page_token=token)
        for each in page:
            yield ModelVersion(
                name=str(each.name),
                version=int(each.version),
                files_uri="",
                tags=dict(each.tags),
                created=datetime.fromtimestamp(each.creation_timestamp / 1000, UTC),
            )
        token = page.token
        if not token:
            return


def _newest(found: Iterator[ModelVersion], wanted: Registered) -> list[ModelVersion]:
    """Those whose name fits, and of each model as many as are wanted."""
    patterns = wanted.models or ("*",)
    by_name: dict[str, list[ModelVersion]] = {}
    for each in found:
        if any(fnmatchcase(each.name, pattern) for pattern in patterns):
            by_name.setdefault(each.name, []).append(each)
    return [
        each
        for group in by_name.values()
        for each in sorted(group, key=lambda one: -one.version)[: wanted.newest or None]
    ]


def _registered(version: ModelVersion, wanted: Registered) -> Found:
    standing, why, digest = standing_of(version, wanted.policy, wanted.keys, datetime.now(UTC))
    return Found(
        name=version.name,
        version=version.version,
        source=version.uri,
        standing=standing,
        why=printable(why)[:500],
        content_digest=digest,
    )


def standing_of(
    version: ModelVersion, policy: Policy, keys: Sequence[PublicKey], now: datetime
) -> tuple[Standing, str, str | None]:
    """Whether a version's attestation holds, apart from its files; why not; its content digest.

    The files are compared when the sweep runs: here nothing is downloaded.

    Raises:
        RegistryError: the registry does not answer.
    """
    if ATTESTATION_TAG not in version.tags:
        return "never gated", "", None
    try:
        signed = attestation.verify(version.tags[ATTESTATION_TAG], keys)
    except AttestationError as error:
        return "stale", str(error), None
    facts = versions.facts_of(version, signed.attestation.files)
    found = verify_version(facts, policy, keys, now)
    own = is_about(signed.claim, version.name, version.version)
    digest = signed.claim.content_digest if own else None
    if found.valid:
        return "attested", "", digest
    return "stale", "; ".join(found.reasons), digest
