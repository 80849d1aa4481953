"""A guarded MLflow server: how it is started, and what its users do there."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from werkzeug.security import generate_password_hash

from mlflow_project.registry.recorded import ATTESTATION_FILE, VERSION_TAG, version_mark
from pipeline.gate.attestation import Attestation, Claim, attest, file_digests
from pipeline.gate.keys import Signer, public_pem
from tests.support.attestations import provenance, signer
from tests.support.mlflow_servers import serving
from tests.support.places import ROOT

ALIAS = "/api/2.0/mlflow/registered-models/alias"
ADMIN = ("admin", "a long password of the admin")
BASIC_AUTH = "ban-gate-basic-auth"
APPS = ("ban-gate", BASIC_AUTH)
KEY = signer(os.urandom(32))
NUMBERS = count(1)
FILES = {"MLmodel": "flavors: {onnx: {data: model.onnx}}", "model.onnx": "the bytes of a model"}


@dataclass(frozen=True)
class Registry:
    """A guarded server and what its users do there."""

    url: str
    client: mlflow.MlflowClient
    asks_who: bool

    def model(self) -> str:
        """A new registered model."""
        name = f"net {next(NUMBERS)}"
        self.client.create_registered_model(name)
        return name

    def version(self, name: str) -> str:
        """A new version of a model, with files of its own, which no gate has seen."""
        run = self.client.create_run("0")
        for path, text in FILES.items():
            self.client.log_text(run.info.run_id, text, f"model/{path}")
        source = f"{run.info.artifact_uri}/model"
        return str(self.client.create_model_version(name, source, run.info.run_id).version)

    def attest(self, name: str, version: str, *, key: Signer = KEY, **changes: Any) -> str:
        """What a gate that found the version clean would attach to it, in its tag."""
        envelope = statement(name, version, key=key, **changes)
        self.mark(name, version, envelope)
        return envelope

    def mark(self, name: str, version: str, envelope: str) -> None:
        """Puts an attestation into the tag of a version."""
        self.client.set_model_version_tag(name, version, "ban.attestation", envelope)

    def record(self, name: str, version: str, envelope: str) -> str:
        """A run that holds an attestation about a version, as a gate leaves it; its id."""
        run = self.client.create_run("0").info.run_id
        self.client.log_text(run, envelope, ATTESTATION_FILE)
        self.client.set_tag(run, VERSION_TAG, version_mark(name, int(version)))
        return str(run)

    def post(self, path: str, body: Mapping[str, object], **more: str) -> requests.Response:
        """The answer to a request of whoever may do anything."""
        return self.send("POST", path, json.dumps(body).encode(), **more)

    def send(self, method: str, path: str, body: bytes, **more: str) -> requests.Response:
        """The answer to a request with this very body; further headers as keywords."""
        headers = {"Content-Type": "application/json"}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        return requests.request(
            method, f"{self.url}{path}", data=body, headers=headers, auth=ADMIN, timeout=60
        )

    def aliases(self, name: str) -> dict[str, str]:
        """All aliases of a model."""
        return dict(self.client.get_registered_model(name).aliases)


def statement(name: str, version: str, *, key: Signer = KEY, **changes: Any) -> str:
    """The envelope of a gate that found the version clean, unless the claim is changed."""
    with files_in_a_folder() as folder:
        files = file_digests(folder)
    claimed = replace(_claim(name, int(version)), **changes)
    return attest(Attestation(claim=claimed, files=files), key)


@contextmanager
def files_in_a_folder() -> Iterator[Path]:
    """The files of a version, before they are logged."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in FILES.items():
            (Path(folder) / path).write_text(text)
        yield Path(folder)


def is_refused(answer: requests.Response, sentence: str = "") -> bool:
    """Whether the guard refused, with a reason that holds the sentence."""
    return (
        answer.status_code == 403
        and answer.json()["error_code"] == "PERMISSION_DENIED"
        and sentence in answer.json()["message"]
    )


@cache
def guarded_routes() -> list[str]:
    """All addresses under which this MLflow serves what sets an alias or a stage.

    Asked in a process of its own: importing the server's module changes MLflow.
    """
    script = (
        "import json, mlflow.server as s;"
        " handlers = ('_set_registered_model_alias', '_transition_stage');"
        " rules = s.app.url_map.iter_rules();"
        " print(json.dumps([rule.rule for rule in rules if rule.endpoint in handlers]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def settings_in(folder: Path) -> dict[str, str]:
    """What a guarded server is told: the default policy, the gate's key, and basic-auth's admin."""
    (folder / "policy.toml").write_text("")
    (folder / "key.pem").write_text(public_pem(KEY.public_key))
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder / 'auth.db'}\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    return {
        "BAN_GATE_POLICY": str(folder / "policy.toml"),
        "BAN_GATE_VERIFY_KEY": str(folder / "key.pem"),
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key for tests",
        "PYTHONPATH": str(ROOT),
    }


@contextmanager
def guarded(app: str, folder: Path) -> Iterator[Registry]:
    """A guarded server on a folder, and its admin's client."""
    before = mlflow.get_tracking_uri()
    settings = settings_in(folder)
    with (
        serving(folder / "server", ("--app-name", app), settings) as (url, _),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
        patch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])
        mlflow.set_tracking_uri(url)
        if app == BASIC_AUTH:
            _hash_quickly(folder / "auth.db")
        yield Registry(url=url, client=mlflow.MlflowClient(url), asks_who=app == BASIC_AUTH)
    mlflow.set_tracking_uri(before)


def _hash_quickly(users: Path) -> None:
    """Stores the admin's password under a hash that is checked at once: every request checks it."""
    quick = generate_password_hash(ADMIN[1], method="pbkdf2:sha256:1")
    with closing(sqlite3.connect(users)) as database, database:
        database.execute("UPDATE users SET password_hash = ?", (quick,))


def _claim(name: str, version: int) -> Claim:
    return Claim(
        model=name,
        version=version,
        verdict="clean",
        action="pass",
        outcome="PASSED",
        reasons=("nothing stands out",),
        policy_digest="ab" * 32,
        run_id="0123",
        time=datetime.now(UTC).isoformat(),
        provenance=provenance(),
        p_value=0.4,
    )
