"""A gate, a verification and a promotion on each kind of server that docs/servers.md names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
import trustme
from mlflow import MlflowClient

from tests.support.gating import call, gate, logged, register
from tests.support.mlflow_servers import Kind, serving
from tests.support.places import DEMO
from tests.support.storage_servers import mariadb, postgres

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow's own
]
PASSWORD = "a-password-of-the-database"  # noqa: S105 (of the tests)
OLDER = os.environ.get("BAN_GATE_PYTHON_MLFLOW2", "")
"""An interpreter that has MLflow 2.22."""


@dataclass(frozen=True)
class Served:
    """A server: its URL, and that of the registry if that is another one."""

    url: str
    registry: str | None = None


@contextmanager
def _plain(folder: Path) -> Iterator[Served]:
    with serving(folder / "server") as (url, _):
        yield Served(url)


@contextmanager
def _older(folder: Path) -> Iterator[Served]:
    if not OLDER:
        pytest.skip("`BAN_GATE_PYTHON_MLFLOW2` names no interpreter with MLflow 2.22")
    with serving(folder / "server", kind=Kind(python=OLDER)) as (url, _):
        yield Served(url)


@contextmanager
def _prefixed(folder: Path) -> Iterator[Served]:
    kind = Kind(prefix="/mlflow")
    with serving(folder / "server", ("--static-prefix", "/mlflow"), kind=kind) as (url, _):
        yield Served(url)


@contextmanager
def _over_tls(folder: Path) -> Iterator[Served]:
    authority, files = trustme.CA(), [folder / name for name in ("ca.pem", "key.pem", "cert.pem")]
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(files[0]))
    certificate.private_key_pem.write_to_path(str(files[1]))
    certificate.cert_chain_pems[0].write_to_path(str(files[2]))
    options = f"--ssl-keyfile {files[1]} --ssl-certfile {files[2]}"
    kind = Kind(authority=str(files[0]))
    with (
        serving(folder / "server", ("--uvicorn-opts", options), kind=kind) as (url, _),
        pytest.MonkeyPatch.context() as patch,
    ):
        refused = gate("models:/net/1", "--tracking-uri", url)
        assert refused.exit_code == 4
        assert "name the authority that signed the certificate" in refused.stderr, refused.stderr
        patch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(files[0]))
        yield Served(url)


@contextmanager
def _on_postgres(folder: Path) -> Iterator[Served]:
    with (
        postgres(folder, PASSWORD) as store,
        serving(folder / "server", kind=Kind(store=store)) as (url, _),
    ):
        yield Served(url)


@contextmanager
def _on_mariadb(folder: Path) -> Iterator[Served]:
    with (
        mariadb(folder, PASSWORD) as store,
        serving(folder / "server", kind=Kind(store=store)) as (url, _),
    ):
        yield Served(url)


@contextmanager
def _registry_elsewhere(folder: Path) -> Iterator[Served]:
    """A server for runs and a database for models; a second server would refuse such a source."""
    with serving(folder / "server") as (url, _):
        database = folder / "registry.db"
        database.write_bytes((folder / "server" / "mlflow.db").read_bytes())
        yield Served(url, f"sqlite:///{database}")


KINDS = {
    "plain": _plain,
    "mlflow 2.22": _older,
    "static prefix": _prefixed,
    "tls": _over_tls,
    "postgresql": _on_postgres,
    "mariadb": _on_mariadb,
    "registry elsewhere": _registry_elsewhere,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store of results, so that the model is scanned once."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_gated_verified_and_promoted(
    kind: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a name with spaces, brackets and letters of several scripts."""
    monkeypatch.setenv("BAN_GATE_HOME", str(home))
    name = "a nét 模型 (v2)"
    opened: AbstractContextManager[Served] = KINDS[kind](tmp_path)
    with opened as served:
        mlflow.set_tracking_uri(served.url)
        if served.registry:
            monkeypatch.setenv("MLFLOW_REGISTRY_URI", served.registry)
            mlflow.set_registry_uri(served.registry)
        register(name, _source(kind))
        uri = f"models:/{name}/1"
        done = gate(uri, "--promote", "champion", "--tracking-uri", served.url)
        verified = call("verify", f"models:/{name}@champion", "--tracking-uri", served.url)
        moved = call("promote", uri, "production", "--tracking-uri", served.url)
        held = MlflowClient().get_registered_model(name).aliases
    mlflow.set_registry_uri(None)

    assert done.exit_code == 0, done.output
    assert verified.exit_code == 0, verified.output
    assert moved.exit_code == 0, moved.output
    assert {alias: str(version) for alias, version in held.items()} == {
        "champion": "1",
        "production": "1",
    }
    assert PASSWORD not in done.output + verified.output + moved.output


def _source(kind: str) -> str:
    """A demo model at the server, as a run's artifact where LoggedModels are not known yet."""
    if kind not in ("mlflow 2.22", "registry elsewhere"):
        return logged("clean")
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(DEMO / "clean.onnx"), "model")
    return f"{run.info.artifact_uri}/model"
