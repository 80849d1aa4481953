"""Decisions that runs hold about a version, so that a tag put back cannot hide a newer one."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlflow.entities import Run, ViewType
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from pipeline.gate.attestation import LARGEST

ATTESTATION_FILE = "attestation.json"
VERSION_TAG = "ban.version"
"""The tag of a run that says which version it decided on."""
GIVEN_UP_TAG = "ban.given_up"
"""The tag of a version that nobody could judge in time: why."""
PAGE = 1000

Finder = Any
"""A client of MLflow or a server's own store: both search for experiments and runs alike."""
Artifacts = Any
"""A repository of artifacts, which has no types."""

logger = logging.getLogger(__name__)


def version_mark(name: str, version: int) -> str:
    """What the tag `ban.version` of a run says: the version, with no quotation mark in it."""
    return f"{quote(name, safe=' ')}/{version}"


def recorded_attestations(
    finder: Finder,
    name: str,
    version: int,
    open_artifacts: Callable[[str], tuple[Artifacts, str]] = lambda uri: (
        get_artifact_repository(uri),
        "",
    ),
) -> tuple[str, ...]:
    """The attestations in all runs that say they decided on this version, deleted ones included.

    Whether they are signed, and about it, is for others to see. What cannot be read is left out.
    """
    runs = _runs(finder, f"tags.`{VERSION_TAG}` = '{version_mark(name, version)}'")
    found = (_attestation(run, open_artifacts) for run in runs)
    return tuple(each for each in found if each is not None)


def _runs(finder: Finder, wanted: str) -> Iterator[Run]:
    for experiments in _pages(finder.search_experiments, view_type=ViewType.ALL):
        yield from (
            run
            for runs in _pages(
                finder.search_runs,
                experiment_ids=[each.experiment_id for each in experiments],
                filter_string=wanted,
                run_view_type=ViewType.ALL,
            )
            for run in runs
        )


def _pages(search: Callable[..., Any], **asked: object) -> Iterator[Any]:
    token = None
    while True:
        page = search(**asked, max_results=PAGE, page_token=token)
        yield page
        token = page.token
        if not token:
            return


def _attestation(run: Run, open_artifacts: Callable[[str], tuple[Artifacts, str]]) -> str | None:
    try:
        repository, root = open_artifacts(run.info.artifact_uri)
        files = {Path(each.path).name: each for each in repository.list_artifacts(root or None)}
        file = files.get(ATTESTATION_FILE)
        if file is None or (file.file_size or 0) > LARGEST:
            return None
        with tempfile.TemporaryDirectory(prefix="ban-gate-") as folder:
            path = repository.download_artifacts(file.path, dst_path=folder)
            return Path(path).read_text(encoding="utf-8")
    except Exception as error:  # noqa: BLE001 (every kind of store has errors of its own)
        logger.warning("cannot read the attestation of run %s (%s)", run.info.run_id, error)
        return None
