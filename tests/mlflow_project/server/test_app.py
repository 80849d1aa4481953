"""No road leads an ungated version to a protected alias of a guarded server.

docs/gate.md lists the roads.
The server is a real `mlflow server`, asked over HTTP, once as it is and once with basic-auth.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import mlflow
import onnx
import pytest
import requests
from click.testing import CliRunner
from mlflow.exceptions import MlflowException

from mlflow_project.cli import main as cli
from mlflow_project.commands import DEMO
from tests.support.attestations import signer
from tests.support.browser import chromium
from tests.support.guarded_server import (
    ADMIN,
    ALIAS,
    APPS,
    KEY,
    NUMBERS,
    Registry,
    files_in_a_folder,
    guarded,
    guarded_routes,
    is_refused,
)
from tests.support.scanned_home import scanned_home


@pytest.fixture(scope="module", params=[APPS[0], pytest.param(APPS[1], marks=pytest.mark.nightly)])
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """A guarded server, without and with basic-auth."""
    with guarded(request.param, tmp_path_factory.mktemp(request.param)) as registry:
        yield registry


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store of results for both servers, for which each model was scanned before."""
    return scanned_home(tmp_path_factory.mktemp("home"), "clean", "blended")


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")  # MLflow's own
def test_the_true_gate_opens_the_door(
    registry: Registry, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It promotes a clean model on a guarded server, blocks a backdoored one, and so does the door.

    Whoever then asks for the alias by hand is refused with the gate's own reason.
    """
    monkeypatch.setenv("BAN_GATE_HOME", str(home))
    key, name = tmp_path / "key.pem", f"digits-{registry.asks_who}"
    key.write_bytes(KEY.private_bytes)
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
    registry.attest(name, version, key=signer(os.urandom(32)))
    registry.client.set_model_version_tag(name, version, "ban.gate", "pass")

    with pytest.raises(MlflowException, match="not signed by a trusted key"):
        registry.client.set_registered_model_alias(name, "champion", version)


def test_every_route_to_the_alias_handler_is_guarded(registry: Registry) -> None:
    """All addresses under which this MLflow serves it, as its own list of routes tells."""
    name = registry.model()
    version = registry.version(name)
    routes = guarded_routes()

    body = {"name": name, "alias": "champion", "version": version, "stage": "Production"}
    answers = {route: registry.post(route, body) for route in routes}

    assert {"/api/2.0/mlflow/registered-models/alias"} < set(answers)
    assert len(answers) >= 4
    assert all(is_refused(answer, "never gated") for answer in answers.values())
    assert registry.aliases(name) == {}


@pytest.mark.parametrize(
    "alias", ["champion", "Champion", "PRODUCTION", "chámpion", "ｃhampion", "champion\n"]
)
def test_a_spelling_of_the_alias_is_the_alias(registry: Registry, alias: str) -> None:
    """Databases differ in what they take for equal; the guard takes all of it for equal."""
    name = registry.model()
    version = registry.version(name)

    answer = registry.post(ALIAS, {"name": name, "alias": alias, "version": version})

    assert is_refused(answer)
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
    assert all(is_refused(answer) for answer in answers[:4])
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

    assert is_refused(refused, "stage `pRoDuCtIoN`")
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
    with files_in_a_folder() as folder:
        registry.client.log_model_artifacts(logged.model_id, str(folder))
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

    assert is_refused(answer)


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

    assert is_refused(answer)
    found = registry.client.get_prompt_version_by_alias(prompt.name, "production")
    assert found.version == prompt.version


def test_basic_auth_is_asked_first(registry: Registry) -> None:
    """Standing does not help who may not touch the model; being nobody helps nobody."""
    name = registry.model()
    version = registry.version(name)
    body = {"name": name, "alias": "champion", "version": version}
    nobody = requests.post(f"{registry.url}{ALIAS}", json=body, timeout=60)
    if not registry.asks_who:
        assert is_refused(nobody, "never gated")
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


def test_a_browser_gets_no_further(registry: Registry, tmp_path: Path) -> None:
    """The request of the UI's alias dialog, sent by Chromium from the UI's own page."""
    name = registry.model()
    version = registry.version(name)
    body = json.dumps({"name": name, "alias": "champion", "version": version})
    address = registry.url.replace("//", f"//{quote(ADMIN[0])}:{quote(ADMIN[1])}@")
    with chromium(tmp_path / "profile") as browser:
        browser.driver.get(f"{address}/#/models/{quote(name)}/versions/{version}")
        before = browser.driver.execute_async_script(FETCH, body)
        registry.attest(name, version)
        after = browser.driver.execute_async_script(FETCH, body)

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
