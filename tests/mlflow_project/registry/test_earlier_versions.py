"""Earlier versions as references: looked at before they are fetched, and optional."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
from mlflow import MlflowClient

from mlflow_project.registry import versions
from pipeline.gate.attestation import Attestation, attest, file_digests
from pipeline.gate.keys import Signer
from pipeline.gate.policy import Policy
from tests.support.attestations import KEY, OTHER, PUBLIC, claim

pytestmark = pytest.mark.usefixtures("mlflow_settings")

PASSED = {"verdict": "clean", "action": "pass", "outcome": "PASSED", "p_value": 0.4}
LATEST = 6


class Registered:
    """A model of some versions in a database, each with files of its own."""

    def __init__(self, folder: Path) -> None:
        self.client, self.name, self.folder = MlflowClient(), f"m{uuid4().hex[:8]}", folder
        self.client.create_registered_model(self.name)
        for number in range(1, LATEST + 1):
            self.files(number).mkdir(parents=True)
            (self.files(number) / "model.onnx").write_text(f"the bytes of {number}")
            self.client.create_model_version(self.name, self.files(number).as_uri())

    def files(self, number: int) -> Path:
        """Where the files of a version lie."""
        return self.folder / "registry" / str(number)

    def attest(self, number: int, key: Signer = KEY, **changes: object) -> None:
        """Attests a version that passed two minutes ago, but for the changes."""
        judged = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=120)
        facts = {"model": self.name, "version": number, "time": judged.isoformat()}
        made = replace(claim(**facts, **PASSED), **changes)  # type: ignore[arg-type] # its fields
        envelope = attest(Attestation(claim=made, files=file_digests(self.files(number))), key)
        self.client.set_model_version_tag(self.name, str(number), "ban.attestation", envelope)

    def accepted(self) -> Mapping[str, Path]:
        """The earlier versions that the latest is compared with."""
        latest = versions.find_version(self.client, f"models:/{self.name}/{LATEST}")
        return versions.accepted_before(
            *(self.client, latest, Policy(), [PUBLIC], datetime.now(UTC), self.fetched)
        )

    @property
    def fetched(self) -> Path:
        """Where the files are fetched to, by the version's number."""
        return self.folder / "fetched"


@pytest.fixture
def registered(sqlite_store: str, tmp_path: Path) -> Registered:
    """Six versions, none of which carries a verdict."""
    mlflow.set_tracking_uri(sqlite_store)
    return Registered(tmp_path)


def test_one_that_is_gone_is_skipped_with_a_sentence(
    registered: Registered, caplog: pytest.LogCaptureFixture
) -> None:
    """Its files, whose verdict still stands in its tags; the others are compared with."""
    caplog.set_level(logging.WARNING)
    for number in (2, 4):
        registered.attest(number)
    shutil.rmtree(registered.files(4))

    found = registered.accepted()

    assert list(found) == [f"models:/{registered.name}/2"]
    (told,) = (each.getMessage() for each in caplog.records)
    assert told.startswith(f"models:/{registered.name}/4 is not compared with: ")


def test_only_what_may_be_a_reference_is_fetched(registered: Registered) -> None:
    """Not what was never gated, what somebody else signed, what was blocked or only waived."""
    registered.attest(1)
    registered.attest(2, OTHER)
    registered.attest(3, action="block", outcome="FAILED", verdict="backdoored")
    registered.attest(4, verdict="backdoored", waiver="version 4, until 2999-01-01: a test")

    found = registered.accepted()

    assert list(found) == [f"models:/{registered.name}/1"]
    assert [each.name for each in registered.fetched.iterdir()] == ["1"]


def test_files_that_are_others_now_are_no_reference(registered: Registered) -> None:
    """What was attested is not what lies there."""
    registered.attest(1)
    (registered.files(1) / "model.onnx").write_text("other bytes")

    assert registered.accepted() == {}
