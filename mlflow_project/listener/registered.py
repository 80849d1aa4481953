"""What the listener asks of a registry, in a process of its own: MLflow takes seconds to load.

Started as `python -m mlflow_project.listener.registered`, with a question as JSON on stdin and the
answer as JSON on stdout; a failure ends it with exit code 4 and one sentence on stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.utils.workspace_context import WorkspaceContext

from mlflow_project.connection import Target, connect, explained
from mlflow_project.errors import RegistryError
from mlflow_project.patience import patiently
from mlflow_project.registry.recorded import GIVEN_UP_TAG
from pipeline.gate.verification import ATTESTATION_TAG
from pipeline.printable import printable
from stages.errors import BanGateError

PAGE = 1000
FAILED = 4
LONGEST_NOTE = 2000  # characters


def never_gated(question: dict[str, Any]) -> list[dict[str, Any]]:
    """The versions of the `names`, or of all models if that is None, that no gate has decided on.

    Those of one `workspace`; if that is empty and `names` is None, of every workspace there is.
    """
    connect(Target(uri=question["tracking_uri"] or None))
    workspace, names = question["workspace"], question["names"]
    with explained("cannot list the versions", RegistryError):
        every = patiently(_workspaces) if names is None and not workspace else [workspace]
        return [found for each in every for found in _in_workspace(each, names)]


def note_given_up(question: dict[str, Any]) -> list[dict[str, Any]]:
    """Tags a version with the reason why nobody has judged it."""
    connect(Target(uri=question["tracking_uri"] or None))
    place = (question["name"], str(question["version"]))
    with explained("cannot tag the version", RegistryError), _inside(question["workspace"]):
        said = question["said"][:LONGEST_NOTE]
        patiently(MlflowClient().set_model_version_tag, *place, GIVEN_UP_TAG, said)
    return []


def _in_workspace(workspace: str, names: list[str] | None) -> Iterator[dict[str, Any]]:
    with _inside(workspace):
        for found in _versions(names):
            if not {ATTESTATION_TAG, GIVEN_UP_TAG, IS_PROMPT_TAG_KEY} & set(found.tags):
                yield {
                    "workspace": workspace,
                    "name": found.name,
                    "version": int(found.version),
                    "made": found.creation_timestamp / 1000,
                }


def _versions(names: list[str] | None) -> Iterator[ModelVersion]:
    for wanted in [None] if names is None else map(_filter, names):
        token = None
        while True:
            page = patiently(
                MlflowClient().search_model_versions,
                filter_string=wanted,
                max_results=PAGE,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                break


def _filter(name: str) -> str:
    """What finds the versions of one model; a name cannot hold both quotation marks in a filter."""
    quotation = '"' if "'" in name else "'"
    return f"name = {quotation}{name}{quotation}"


def _workspaces() -> list[str]:
    """All workspaces of the server, or the empty name where it has none."""
    try:
        return [each.name for each in MlflowClient().list_workspaces()] or [""]
    except MlflowException:  # as of a server that has none
        return [""]


def _inside(workspace: str) -> Any:
    return WorkspaceContext(workspace) if workspace else nullcontext()


def main() -> None:
    """Answers the question on stdin."""
    actions = {"never gated": never_gated, "given up": note_given_up}
    question = json.load(sys.stdin)
    try:
        json.dump(actions[question["action"]](question), sys.stdout)
    except BanGateError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
