"""No road leads an ungated version to a protected alias of a guarded server.

docs/gate.md lists the roads.
The server is a real `mlflow server`, asked over HTTP, once as it is and once with basic-auth.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mlflow
import onnx
import pytest
import requests
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from mlflow.exceptions import MlflowException
from werkzeug.security import generate_password_hash

from mlflow_project import cli
from mlflow_project.commands import DEMO
from pipeline import signing
from pipeline.attestation import Attestation, Claim, attest, file_digests
from pipeline.signing import PrivateKey

ALIAS = "/api/2.0/mlflow/registered-models/alias"
ADMIN = ("admin", "a long password of the admin")
KEY = PrivateKey.generate()
NUMBERS = count(1)
FILES = {"MLmodel": "flavors: {onnx: {data: model.onnx}}", "model.onnx": "the bytes of a model"}
Serve = Callable[..., AbstractContextManager[tuple[str, subprocess.Popen[bytes]]]]


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

    def attest(self, name: str, version: str, *, key: PrivateKey = KEY) -> str:
        """What a gate that found the version clean would attach to it."""
        with tempfile.TemporaryDirectory() as folder:
            for path, text in FILES.items():
                (Path(folder) / path).write_text(text)
            files = file_digests(Path(folder))
        envelope = attest(Attestation(claim=_claim(name, int(version)), files=files), key)
        self.client.set_model_version_tag(name, version, "ban.attestation", envelope)
        return envelope

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
        p_value=0.4,
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a guarded server is told: the default policy, the gate's key, and basic-auth's admin."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "policy.toml").write_text("")
    (folder / "key.pem").write_text(signing.public_pem(KEY.public_key()))
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
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }


def _hash_quickly(users: Path) -> None:
    """Stores the admin's password under a hash that is checked at once: every request checks it."""
    quick = generate_password_hash(ADMIN[1], method="pbkdf2:sha256:1")
    with closing(sqlite3.connect(users)) as database, database:
        database.execute("UPDATE users SET password_hash = ?", (quick,))


@pytest.fixture(scope="module", params=["ban-gate", "ban-gate-basic-auth"])
def registry(
    request: pytest.FixtureRequest,
    serving: Serve,
    settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Registry]:
    """A guarded server, without and with basic-auth, and its admin's client."""
    folder = tmp_path_factory.mktemp(request.param)
    before = mlflow.get_tracking_uri()
    with (
        serving(folder, ("--app-name", request.param), settings) as (url, _),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
        patch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])
        mlflow.set_tracking_uri(url)
        asks_who = request.param == "ban-gate-basic-auth"
        if asks_who:
            _hash_quickly(Path(settings["MLFLOW_AUTH_CONFIG_PATH"]).parent / "auth.db")
        yield Registry(url=url, client=mlflow.MlflowClient(url), asks_who=asks_who)
    mlflow.set_tracking_uri(before)


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")  # MLflow's own
def test_the_true_gate_opens_the_door(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It promotes a clean model on a guarded server, blocks a backdoored one, and so does the door.

    Whoever then asks for the alias by hand is refused with the gate's own reason.
    """
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path))
    key, name = tmp_path / "key.pem", f"digits-{registry.asks_who}"
    key.write_bytes(
        KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    for model in ("clean.onnx", "blended.onnx"):
        mlflow.onnx.log_model(
            onnx.load(DEMO / model),
            name="model",
            registered_model_name=name,
            save_as_external_data=False,
            pip_requirements=["onnxruntime"],
        )

    asked = ["--samples", str(DEMO / "samples.npz"), "--promote", "champion"]
    asked += ["--signing-key", str(key)]
    codes = [
        CliRunner().invoke(cli.main, ["gate", f"models:/{name}/{version}", *asked]).exit_code
        for version in (1, 2)
    ]

    assert codes == [0, 1]
    assert registry.aliases(name) == {"champion": "1"}
    with pytest.raises(MlflowException, match="is protected and version 2 may not have it"):
        registry.client.set_registered_model_alias(name, "champion", "2")
    assert registry.aliases(name) == {"champion": "1"}


def _is_refused(answer: requests.Response, sentence: str = "") -> bool:
    return (
        answer.status_code == 403
        and answer.json()["error_code"] == "PERMISSION_DENIED"
        and sentence in answer.json()["message"]
    )


def test_a_version_in_good_standing_may_have_the_alias(registry: Registry) -> None:
    """And only then; whatever is not protected is as free as ever."""
    name = registry.model()
    version = registry.version(name)
    registry.client.set_registered_model_alias(name, "candidate", version)
    with pytest.raises(MlflowException, match="it was never gated"):
        registry.client.set_registered_model_alias(name, "champion", version)

    registry.attest(name, version)
    registry.client.set_registered_model_alias(name, "champion", version)

    assert registry.aliases(name) == {"candidate": version, "champion": version}
    registry.client.delete_registered_model_alias(name, "champion")
    assert registry.aliases(name) == {"candidate": version}


def test_a_signature_of_somebody_else_is_none(registry: Registry) -> None:
    """Anybody can sign with a key of his own, and set every tag."""
    name = registry.model()
    version = registry.version(name)
    registry.attest(name, version, key=PrivateKey.generate())
    registry.client.set_model_version_tag(name, version, "ban.gate", "pass")

    with pytest.raises(MlflowException, match="not signed by a trusted key"):
        registry.client.set_registered_model_alias(name, "champion", version)


def test_every_route_to_the_alias_handler_is_guarded(registry: Registry) -> None:
    """All addresses under which this MLflow serves it, as its own list of routes tells."""
    name = registry.model()
    version = registry.version(name)
    routes = _routes("_set_registered_model_alias") + _routes("_transition_stage")

    body = {"name": name, "alias": "champion", "version": version, "stage": "Production"}
    answers = {route: registry.post(route, body) for route in routes}

    assert {"/api/2.0/mlflow/registered-models/alias"} < set(answers)
    assert len(answers) >= 4
    assert all(_is_refused(answer, "never gated") for answer in answers.values())
    assert registry.aliases(name) == {}


def _routes(handler: str) -> list[str]:
    """Asked in a process of its own: importing the server's module changes MLflow."""
    script = (
        "import mlflow.server as s; print([r.rule for r in s.app.url_map.iter_rules()"
        f" if r.endpoint == {handler!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout.strip().splitlines()[-1].replace("'", '"'))
    return found


@pytest.mark.parametrize(
    "alias", ["champion", "Champion", "PRODUCTION", "chámpion", "ｃhampion", "champion\n"]
)
def test_a_spelling_of_the_alias_is_the_alias(registry: Registry, alias: str) -> None:
    """Databases differ in what they take for equal; the guard takes all of it for equal."""
    name = registry.model()
    version = registry.version(name)

    answer = registry.post(ALIAS, {"name": name, "alias": alias, "version": version})

    assert _is_refused(answer)
    assert registry.aliases(name) == {}


def test_odd_requests_reach_nothing(registry: Registry) -> None:
    """Bodies and paths that a filter of requests might read otherwise than MLflow does."""
    name = registry.model()
    version = registry.version(name)
    body = json.dumps({"name": name, "alias": "champion", "version": version}).encode()
    twice = body.replace(b'{"name"', b'{"alias": "free", "name"')
    spaced = json.dumps({"name": name, "alias": "champion", "version": f" {version} "}).encode()
    zero = json.dumps({"name": name, "alias": "champion", "version": f"0{version}"}).encode()
    escaped = body.replace(b"champion", rb"\u0063hampion")
    answers = [
        registry.send("POST", ALIAS, twice),
        registry.send("POST", ALIAS, spaced),
        registry.send("POST", ALIAS, zero),
        registry.send("POST", ALIAS, escaped),
        registry.send("POST", ALIAS, body, Content_Type="application/x-www-form-urlencoded"),
        registry.send("POST", ALIAS, body, Content_Type="application/json; charset=utf-16"),
        registry.send("POST", ALIAS, body.decode().encode("utf-16")),
        registry.send("POST", ALIAS, gzip.compress(body), Content_Encoding="gzip"),
        registry.send("POST", ALIAS, body, X_HTTP_Method_Override="GET"),
        registry.send("POST", f"{ALIAS}/", body),
        registry.send("POST", ALIAS.replace("alias", "%61lias"), body),
        registry.send("POST", ALIAS.replace("/mlflow/", "//mlflow//"), body),
        registry.send("POST", ALIAS.replace("/mlflow/", "/x/../mlflow/"), body),
        registry.send("POST", ALIAS.upper(), body),
        registry.send("PUT", ALIAS, body),
        registry.send("PATCH", ALIAS, body),
        registry.send("GET", f"{ALIAS}?name={name}&alias=champion&version={version}", b""),
    ]

    assert all(answer.status_code >= 400 for answer in answers)
    assert all(_is_refused(answer) for answer in answers[:4])
    assert registry.aliases(name) == {}


def test_a_copy_has_no_standing(registry: Registry) -> None:
    """`copy_model_version` takes the tags along; the attestation is about another model."""
    good = registry.model()
    version = registry.version(good)
    registry.attest(good, version)
    registry.client.copy_model_version(f"models:/{good}/{version}", f"{good} copy")

    with pytest.raises(MlflowException, match="it was copied"):
        registry.client.set_registered_model_alias(f"{good} copy", "champion", "1")

    registry.attest(f"{good} copy", "1")
    registry.client.set_registered_model_alias(f"{good} copy", "champion", "1")
    assert registry.aliases(f"{good} copy") == {"champion": "1"}


def test_another_versions_attestation_does_not_help(registry: Registry) -> None:
    """A version created with the source and the tags of a good one is not that one."""
    name = registry.model()
    good = registry.version(name)
    tags = {"ban.attestation": registry.attest(name, good)}
    source = registry.client.get_model_version(name, good)
    made = registry.client.create_model_version(name, source.source, source.run_id, tags=tags)

    with pytest.raises(MlflowException, match="it was copied"):
        registry.client.set_registered_model_alias(name, "champion", made.version)


def test_stages_named_like_an_alias_are_guarded(registry: Registry) -> None:
    """The deprecated road: Production is `production`; Staging is protected only if named."""
    name = registry.model()
    version = registry.version(name)
    path = "/api/2.0/mlflow/model-versions/transition-stage"
    body = {"name": name, "version": version, "archive_existing_versions": True}

    refused = registry.post(path, {**body, "stage": "pRoDuCtIoN"})
    staged = registry.post(path, {**body, "stage": "Staging"})
    registry.attest(name, version)
    allowed = registry.post(path, {**body, "stage": "Production"})

    assert _is_refused(refused, "stage `pRoDuCtIoN`")
    assert (staged.status_code, allowed.status_code) == (200, 200)
    assert registry.client.get_model_version(name, version).current_stage == "Production"


def test_a_renamed_model_brings_no_alias_along(registry: Registry) -> None:
    """Renaming would put an alias where it was refused; a model without one may be renamed."""
    name = registry.model()
    version = registry.version(name)
    registry.attest(name, version)
    registry.client.set_registered_model_alias(name, "champion", version)
    with pytest.raises(MlflowException, match="take it away first"):
        registry.client.rename_registered_model(name, f"{name} stolen")
    registry.client.delete_registered_model_alias(name, "champion")

    registry.client.rename_registered_model(name, f"{name} renamed")

    with pytest.raises(MlflowException, match="it was copied"):
        registry.client.set_registered_model_alias(f"{name} renamed", "champion", version)


def test_a_model_made_anew_inherits_nothing(registry: Registry) -> None:
    """Deleted and created again with other files, and with the attestation of the old ones."""
    name = registry.model()
    version = registry.version(name)
    envelope = registry.attest(name, version)
    registry.client.set_registered_model_alias(name, "champion", version)
    registry.client.delete_registered_model(name)
    registry.client.create_registered_model(name)
    run = registry.client.create_run("0")
    registry.client.log_text(run.info.run_id, "a backdoored model", "model/model.onnx")
    source = f"{run.info.artifact_uri}/model"
    made = registry.client.create_model_version(name, source, run.info.run_id)
    registry.client.set_model_version_tag(name, made.version, "ban.attestation", envelope)

    assert (str(made.version), registry.aliases(name)) == (version, {})
    with pytest.raises(MlflowException, match="not those that were judged"):
        registry.client.set_registered_model_alias(name, "champion", made.version)


@pytest.mark.parametrize("path", ["model.onnx", "MLmodel", "code/evil.py"])
def test_files_changed_after_the_verdict_end_it(registry: Registry, path: str) -> None:
    """Whoever may log to the run can replace or add a file; the server hashes what is there now."""
    name = registry.model()
    version = registry.version(name)
    registry.attest(name, version)
    run_id = registry.client.get_model_version(name, version).run_id
    assert run_id is not None
    registry.client.log_text(run_id, "something else", f"model/{path}")

    with pytest.raises(MlflowException, match=f"such as `{path}`"):
        registry.client.set_registered_model_alias(name, "champion", version)


def test_a_logged_model_is_resolved(registry: Registry) -> None:
    """A version whose source is `models:/m-…` is judged by the files it resolves to."""
    name = registry.model()
    logged = registry.client.create_logged_model("0", name="net")
    with tempfile.TemporaryDirectory() as folder:
        for path, text in FILES.items():
            (Path(folder) / path).write_text(text)
        registry.client.log_model_artifacts(logged.model_id, folder)
    registry.client.finalize_logged_model(logged.model_id, "READY")
    made = registry.client.create_model_version(
        name, f"models:/{logged.model_id}", model_id=logged.model_id
    )
    with pytest.raises(MlflowException, match="it was never gated"):
        registry.client.set_registered_model_alias(name, "champion", made.version)

    registry.attest(name, made.version)
    registry.client.set_registered_model_alias(name, "champion", made.version)

    assert registry.aliases(name) == {"champion": str(made.version)}


def test_a_version_whose_files_are_gone_is_refused(registry: Registry) -> None:
    """What cannot be read cannot be vouched for."""
    name = registry.model()
    run = registry.client.create_run("0")
    source = f"{run.info.artifact_uri}/nothing"
    made = registry.client.create_model_version(name, source, run.info.run_id)
    registry.attest(name, made.version)

    answer = registry.post(ALIAS, {"name": name, "alias": "champion", "version": made.version})

    assert _is_refused(answer)


def test_graphql_has_no_road(registry: Registry) -> None:
    """Its mutations search and echo; one that sets aliases does not exist."""
    query = 'mutation { setRegisteredModelAlias(name: "a", alias: "champion", version: "1") { x } }'
    schema = "{ __schema { mutationType { fields { name } } } }"

    answer = registry.post("/graphql", {"query": query})
    known = registry.post("/graphql", {"query": schema}).json()

    assert "Cannot query field" in answer.text
    fields = known["data"]["__schema"]["mutationType"]["fields"]
    names = {field["name"] for field in fields}
    assert names == {"mlflowSearchDatasets", "mlflowSearchRuns", "testMutation"}


def test_prompts_are_not_models(registry: Registry) -> None:
    """A prompt's version has no artifacts; a model does not become one by its tags."""
    prompt = registry.client.register_prompt(f"prompt-{next(NUMBERS)}", "Say {{this}}.")
    registry.client.set_prompt_alias(prompt.name, "production", prompt.version)
    name = registry.model()
    version = registry.version(name)
    registry.client.set_model_version_tag(name, version, "mlflow.prompt.is_prompt", "true")
    registry.client.set_registered_model_tag(name, "mlflow.prompt.is_prompt", "true")

    answer = registry.post(ALIAS, {"name": name, "alias": "production", "version": version})

    assert _is_refused(answer)
    found = registry.client.get_prompt_version_by_alias(prompt.name, "production")
    assert found.version == prompt.version


def test_basic_auth_is_asked_first(registry: Registry) -> None:
    """Standing does not help who may not touch the model; being nobody helps nobody."""
    name = registry.model()
    version = registry.version(name)
    body = {"name": name, "alias": "champion", "version": version}
    nobody = requests.post(f"{registry.url}{ALIAS}", json=body, timeout=60)
    if not registry.asks_who:
        assert _is_refused(nobody, "never gated")
        return
    reader = (f"reader {name}", "a long password of a reader")
    account = {"username": reader[0], "password": reader[1]}
    assert registry.post("/api/2.0/mlflow/users/create", account).ok
    registry.attest(name, version)

    answer = requests.post(f"{registry.url}{ALIAS}", json=body, auth=reader, timeout=60)

    assert (nobody.status_code, answer.status_code) == (401, 403)
    assert "is protected" not in answer.text
    assert registry.aliases(name) == {}
    assert registry.post(ALIAS, body).ok


@pytest.mark.skipif(not shutil.which("chromedriver"), reason="there is no chromedriver")
def test_a_browser_gets_no_further(registry: Registry, free_port: int, tmp_path: Path) -> None:
    """The request of the UI's alias dialog, sent by Chromium from the UI's own page."""
    name = registry.model()
    version = registry.version(name)
    body = json.dumps({"name": name, "alias": "champion", "version": version})
    address = registry.url.replace("//", f"//{quote(ADMIN[0])}:{quote(ADMIN[1])}@")
    with _browser(free_port, tmp_path) as session:
        _order(session, "url", {"url": f"{address}/#/models/{quote(name)}/versions/{version}"})
        before = _order(session, "execute/async", {"script": FETCH, "args": [body]})
        registry.attest(name, version)
        after = _order(session, "execute/async", {"script": FETCH, "args": [body]})

    assert before[0] == 403
    assert "never gated" in json.loads(before[1])["message"]
    assert after[0] == 200


FETCH = """
const [body, done] = arguments;
const headers = {"Content-Type": "application/json"};
const alias = location.origin + "/ajax-api/2.0/mlflow/registered-models/alias";
fetch(alias, {method: "POST", headers, body})
    .then(async (answer) => done([answer.status, await answer.text()]));
"""
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def _browser(port: int, folder: Path) -> Iterator[str]:
    """The address of a session of a real Chromium."""
    options = {"args": [*CHROMIUM, f"--user-data-dir={folder / 'profile'}"]}
    wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(requests.ConnectionError):
                requests.get(f"{url}/status", timeout=30)
                break
        session = f"{url}/session/{_order(url, 'session', wanted)['sessionId']}"
        yield session
        requests.delete(session, timeout=30)
    finally:
        driver.terminate()
        driver.wait(30)


def _order(session: str, what: str, body: Mapping[str, object]) -> Any:
    answer = requests.post(f"{session}/{what}", json=body, timeout=120)
    assert answer.ok, answer.text
    return answer.json()["value"]


def test_a_server_without_a_policy_does_not_start(tmp_path: Path) -> None:
    """`mlflow server` itself ends with one sentence and exit 2, before it serves anything."""
    environment = {name: value for name, value in os.environ.items() if "BAN_GATE" not in name}
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "ban-gate"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'm.db'}", "--workers", "1"]
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)

    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.endswith(
        "Error: the server does not start unguarded: `BAN_GATE_POLICY` is not set; set it to the"
        " policy's TOML file\n"
    )


def test_wrong_settings_are_one_sentence(tmp_path: Path, settings: dict[str, str]) -> None:
    """No file, no TOML, nothing to protect, no key, no public key; never a guard that guesses."""
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "none.toml").write_text("protected_aliases = []")
    (tmp_path / "wrong.toml").write_text("protect = 3")
    key = settings["BAN_GATE_VERIFY_KEY"]
    cases = [
        ("gone.toml", key), ("wrong.toml", key), ("none.toml", key), ("empty.toml", ""),
        ("empty.toml", "gone.pem"), ("empty.toml", "empty.toml"), ("empty.toml", key),
    ]  # fmt: skip
    environment = os.environ | settings

    done = subprocess.run(
        [sys.executable, "-c", GUARDS, json.dumps(cases)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    *sentences, guard = json.loads(done.stdout.splitlines()[-1])
    expected = [
        "`gone.toml` cannot be read", "unknown setting `protect`", "protects no alias",
        "no key is trusted", "`gone.pem` holds no", "`empty.toml` holds no",
    ]  # fmt: skip
    assert all(part in said for part, said in zip(expected, sentences, strict=True))
    assert guard == "guards"


GUARDS = """
import json, os, sys
from mlflow_project.server_app import CannotStart, guard_from_environment
said = []
for policy, key in json.loads(sys.argv[1]):
    os.environ |= {"BAN_GATE_POLICY": policy, "BAN_GATE_VERIFY_KEY": key}
    try:
        guard_from_environment()
        said.append("guards")
    except CannotStart as error:
        said.append(error.message)
print(json.dumps(said))
"""
