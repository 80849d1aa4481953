"""Real MLflow for tests: stores, servers over HTTP, and the environment of a child process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests

from tests.support import once
from tests.support.places import ROOT

STARTS_WITHIN = 300  # seconds; about 20 on two busy cores
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""A server without MLflow's seven job consumers, which serve nothing that ban-gate uses."""


@pytest.fixture(scope="session")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of one database for all tests: creating its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def mlflow_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """MLflow as in a fresh process, working in a temporary folder; what a test sets is undone."""
    import mlflow  # noqa: PLC0415 (takes seconds, and most tests do without)

    before = mlflow.get_tracking_uri()
    for name in ("MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri("")
    for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"):  # MLflow sets them for children
        os.environ.pop(name, None)


@pytest.fixture
def free_port() -> int:
    """A TCP port of this machine where nobody listens."""
    return _free_port()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real MLflow server that stores into a temporary folder."""
    with serving(tmp_path_factory.mktemp("server")) as (url, _):
        yield url


@pytest.fixture
def mortal_server(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a real MLflow server of the test's own, and a function that kills it at once."""
    with serving(tmp_path / "server") as (url, process):
        yield url, lambda: kill(process)


@pytest.fixture
def child(tmp_path: Path) -> dict[str, str]:
    """The environment of a child process that finds this interpreter and leaves no traces."""
    chosen = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return (
        chosen
        | NO_JOBS
        | {
            "BAN_GATE_HOME": str(tmp_path / "home"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a server differs from the usual one: which Python serves, where it stores, its address.

    `store` is the URI of its database, `authority` the file of the
    authority that signed its certificate, if it speaks https.
    """

    python: str = sys.executable
    store: str | None = None
    prefix: str = ""
    authority: str | None = None


@contextmanager
def serving(
    folder: Path,
    options: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    kind: Kind = Kind(),
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real MLflow server on a folder, where an earlier one may have stored things.

    Its URL and its process. Further options of the command line and environment variables may be
    given.
    """
    folder.mkdir(exist_ok=True)
    if not (folder / "mlflow.db").exists() and kind.python == sys.executable and not kind.store:
        (folder / "mlflow.db").write_bytes(once.made("mlflow.db", _empty_database))
    port = _free_port()
    command = [kind.python, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", kind.store or f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=os.environ | NO_JOBS | (settings or {}),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"{'https' if kind.authority else 'http'}://127.0.0.1:{port}{kind.prefix}"
    try:
        _wait_for(f"{url}/health", process, folder / "log", kind.authority)
        yield url, process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a server and its workers at once, as a power cut does; it may be dead already."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


def _empty_database() -> bytes:
    """A server's database before anything is stored: making its tables takes seconds."""
    from mlflow.store.tracking.sqlalchemy_store import (  # noqa: PLC0415 (see `mlflow_settings`)
        SqlAlchemyStore,
    )

    with TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        SqlAlchemyStore(f"sqlite:///{path}", "mlflow-artifacts:/").engine.dispose()
        return path.read_bytes()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(
    url: str, process: subprocess.Popen[bytes], log: Path, authority: str | None = None
) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=1, verify=authority or True).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail(f"the MLflow server did not start:\n{log.read_text()}")
