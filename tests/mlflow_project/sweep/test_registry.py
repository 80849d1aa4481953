"""A sweep over a real registry: what is listed, skipped, written and left alone."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from mlflow_project.sweep import requests as pace
from mlflow_project.sweep.sources import without_credentials
from pipeline.sweep.plan import read_plan
from pipeline.sweep.results import results_of
from tests.support.gating import register
from tests.support.places import DEMO
from tests.support.sweeps import call

pytestmark = pytest.mark.usefixtures("mlflow_settings")
LAX = "inconclusive = 'warn'\nsettings = ['precondition.min_samples=100000']"
VERSIONS = (("fraud", "clean"), ("fraud", "patch"), ("copy", "clean"), ("lone", "clean"))
EARLY = ("--set", "precondition.min_samples=100000")
SAMPLES = DEMO / "samples.npz"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models as the registry's versions hold them."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("clean", "patch"):
        (folder / name).mkdir()
        shutil.copy(DEMO / f"{name}.onnx", folder / name / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database for these tests alone, which look at all that there is."""
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture
def registry(
    sqlite_store: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MlflowClient]:
    """A store with a registered model of three versions, two of the same bytes, and a lone one."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    mlflow.set_tracking_uri(sqlite_store)
    mlflow.set_registry_uri(sqlite_store)
    for name, source in (
        ("fraud", "clean"),
        ("fraud", "patch"),
        ("copy", "clean"),
        ("lone", "clean"),
    ):
        register(name, str(files / source))
    yield MlflowClient()
    for each in ("fraud", "copy", "lone"):
        MlflowClient().delete_registered_model(each)
    mlflow.set_registry_uri("")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Samples for all but `lone`."""
    path = tmp_path / "samples.toml"
    rules = (f"[[samples]]\nmodels = '{name}'\npath = '{SAMPLES}'\n" for name in ("fraud", "c*"))
    path.write_text("".join(rules))
    return path


def state(client: MlflowClient) -> list[object]:
    """All that a registry and its runs hold."""
    versions = client.search_model_versions()
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return [[dict(each) for each in versions], len(runs)]


def test_a_sweep_that_reads_changes_nothing(
    registry: MlflowClient, sqlite_store: str, table: Path, tmp_path: Path
) -> None:
    """Every version is listed in order, the same bytes are scanned once, and nothing is written."""
    before, folder = state(registry), tmp_path / "sweep"

    planned = call("plan", sqlite_store, "--samples", table, "-o", folder, *EARLY)
    done = call("run", folder, "--workers", 1)

    plan = read_plan(folder)
    found = {each.source: each for each in results_of(plan, folder).values()}
    assert planned.stdout == (
        "4 versions, 3 never gated, 0 stale, 0 attested, 1 without samples\n"
    ), planned.output
    assert done.exit_code == 3, done.output
    assert [each.source for each in plan.lines] == [
        "models:/copy/1", "models:/fraud/1", "models:/fraud/2", "models:/lone/1"
    ]  # fmt: skip
    assert found["models:/copy/1"].key == found["models:/fraud/1"].key
    assert len(list((folder / "scans").iterdir())) == 2
    assert found["models:/lone/1"].state == "no samples"
    assert "500 clean samples" in found["models:/fraud/2"].reasons[0]
    assert state(registry) == before


@pytest.mark.nightly
def test_written_attestations_are_skipped_until_the_files_change(
    registry: MlflowClient, sqlite_store: str, table: Path, tmp_path: Path, files: Path
) -> None:
    """`--write` gates each version and moves no alias; the next sweep skips what still holds."""
    policy, folder = tmp_path / "policy.toml", tmp_path / "sweep"
    policy.write_text(LAX)
    options = (sqlite_store, "--samples", table, "--policy", policy, "--models", "fraud", *EARLY)

    call("plan", *options, "-o", folder)
    written = call("run", folder, "--workers", 1, "--write")
    tags = [registry.get_model_version("fraud", number).tags for number in ("1", "2")]
    again = call("plan", *options, "-o", tmp_path / "later")
    shutil.copy(files / "patch" / "model.onnx", tmp_path / "kept.onnx")
    (files / "patch" / "model.onnx").write_bytes(b"changed")
    later = call("run", tmp_path / "later", "--workers", 1)
    shutil.move(tmp_path / "kept.onnx", files / "patch" / "model.onnx")

    assert written.exit_code == 0, written.output
    assert [each["ban.gate"] for each in tags] == ["pass", "pass"]
    assert registry.get_registered_model("fraud").aliases == {}
    assert "0 never gated, 0 stale, 2 attested" in again.stdout, again.output
    found = results_of(read_plan(tmp_path / "later"), tmp_path / "later").values()
    assert [each.state for each in found] == ["attested", "judged"], later.output
    assert [each.action for each in found] == ["pass", "pass"]


@pytest.mark.nightly
def test_an_artifact_that_is_gone_fails_its_version_alone(
    registry: MlflowClient, sqlite_store: str, table: Path, tmp_path: Path
) -> None:
    """The server answers otherwise, so the sweep goes on; the code says it, and a rerun retries."""
    registry.create_model_version("fraud", str(tmp_path / "nowhere"))
    folder = tmp_path / "sweep"
    call("plan", sqlite_store, "--samples", table, "--newest", 1, "-o", folder, *EARLY)

    done = call("run", folder, "--workers", 1)

    states = {each.source: each.state for each in results_of(read_plan(folder), folder).values()}
    assert done.exit_code == 4, done.output
    assert states == {
        "models:/copy/1": "judged", "models:/fraud/3": "failed", "models:/lone/1": "no samples"
    }  # fmt: skip


def test_credentials_are_in_no_plan() -> None:
    """Only the server's address is."""
    assert without_credentials("http://me:secret@host:5000/p") == "http://host:5000/p"
    assert without_credentials("sqlite:///a.db") == "sqlite:///a.db"


class _Busy(BaseHTTPRequestHandler):
    """A server that is busy for the first request, and says for how long."""

    asked: list[float]

    def do_GET(self) -> None:
        self.asked.append(time.monotonic())
        first = len(self.asked) == 1
        body = b"" if first else json.dumps({"registered_models": []}).encode()
        self.send_response(429 if first else 200)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_requests_are_paced_and_retry_after_is_waited_for(free_port: int) -> None:
    """Five requests at ten a second take at least 0.4 s; a busy server is left alone for 1 s."""
    _Busy.asked = []
    with ThreadingHTTPServer(("127.0.0.1", free_port), _Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = MlflowClient(registry_uri=f"http://127.0.0.1:{free_port}")
        pace.limit_requests(10)
        try:
            for _ in range(6):
                client.search_registered_models()
        finally:
            pace.limit_requests(0)
            server.shutdown()

    waits = [later - earlier for earlier, later in zip(_Busy.asked, _Busy.asked[1:], strict=False)]
    assert len(_Busy.asked) == 7
    assert waits[0] >= 0.99
    assert _Busy.asked[-1] - _Busy.asked[1] >= 0.4


def test_a_server_that_is_away_ends_the_sweep_with_4(
    registry: MlflowClient, sqlite_store: str, table: Path, tmp_path: Path, free_port: int
) -> None:
    """After its patience; what was judged before is kept, and the rest waits."""
    assert registry
    folder = tmp_path / "sweep"
    call("plan", sqlite_store, "--samples", table, "-o", folder, *EARLY)

    done = call("run", folder, "--tracking-uri", f"http://127.0.0.1:{free_port}")

    assert done.exit_code == 4
    assert call("status", folder).exit_code == 4
