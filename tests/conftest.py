"""What many tests share: finished scans built by hand, MLflow stores, and a real MLflow server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import numpy as np
import pytest
import requests

from pipeline.config import ScanConfig, load_config
from pipeline.outcome import Outcome
from pipeline.result import Evidence, ScanResult, TwinSummary
from pipeline.scan import scan
from pipeline.store import Store
from pipeline.walk import ScanRequest
from stages.types import (
    BlendResult,
    CleanSamples,
    MaskResult,
    NoiseSite,
    OnnxArtifact,
    ParityResult,
    PatchResult,
    PreconditionResult,
    Statistic,
    TargetedNoise,
    TensorSpec,
    UntargetedNoise,
    Verdict,
    WarpResult,
)

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# As many workers as cores run the suite; with threads of their own they would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
    os.environ.pop(name, None)  # what a test scans is not the verdict of the job it runs in

# The same examples every time: a suite that fails at random is not read.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")

DEMO = Path(__file__).parent.parent / "mlflow_project" / "demo"
MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SERVER_STARTS_WITHIN = 300  # seconds; about 20 on two busy cores


@pytest.fixture
def make_artifact(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., OnnxArtifact]:
    """Builds what inspection says of a model with inputs (any, 1, 4, 4) and 5 logits."""

    def make(**changes: object) -> OnnxArtifact:
        path = tmp_path_factory.mktemp("model") / "model.onnx"
        path.write_bytes(b"the bytes of a model")
        artifact = OnnxArtifact(
            path=path,
            framework="pytorch",
            producer="pytorch 2.14",
            digest="ab" * 32,
            content_digest="cd" * 32,
            opset=17,
            parameters=1234,
            input=TensorSpec(name="image", shape=(None, 1, 4, 4), dtype="float32"),
            output=TensorSpec(name="logits", shape=(None, 5), dtype="float32"),
        )
        return replace(artifact, **changes)  # type: ignore[arg-type] # tests name real fields

    return make


@pytest.fixture
def evidence(make_artifact: Callable[..., OnnxArtifact]) -> Evidence:
    """Everything a full scan of 5 classes and 2 sites finds; class 3 stands out."""
    random = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int64) % 5
    flips = np.full((3, 5), 0.05, np.float32)
    flips[:, 3] = (0.2, 0.9, 1.0)
    return Evidence(
        artifact=make_artifact(),
        samples=CleanSamples(images=random.random((40, 1, 4, 4), np.float32), labels=labels),
        parity=ParityResult(
            max_abs=1e-6,
            max_rel=2e-7,
            median_rel=1e-8,
            tolerance=1e-4,
            top1_agreement=1.0,
            batches=(1, 7),
            n=8,
            logits=random.standard_normal((8, 5)).astype(np.float32),
        ),
        twin=TwinSummary(
            classes=5,
            trainable_share=1.0,
            sites=tuple(
                NoiseSite(node=name, kind="conv", channels=8, axis=-3) for name in ("one", "two")
            ),
            features="two",
            classifier="fc",
            device="cpu",
        ),
        precondition=PreconditionResult(
            logits=np.eye(5, dtype=np.float32)[labels],
            clean_accuracy=1.0,
            covered_classes=5,
            reasons=(),
        ),
        blend=BlendResult(
            margins=np.array([-0.5, -0.4, -0.6, 2.0, -0.5], np.float32),
            sureness=np.array([-0.8, -0.7, -0.9, 5.0, -0.8], np.float32),
            strong=np.array([0.5, 0.4, 0.6, 4.0, 0.5], np.float32),
            leading=3,
            pattern=random.random((1, 4, 4), np.float32),
        ),
        patch=PatchResult(
            margins=np.array([-0.2, -0.1, -0.3, 1.5, -0.2], np.float32),
            leading=3,
            mask=random.random((1, 4, 4), np.float32),
            pattern=random.random((1, 4, 4), np.float32),
        ),
        warp=WarpResult(
            margins=np.array([-0.4, -0.3, -0.5, 1.0, -0.4], np.float32),
            leading=3,
            flow=random.random((4, 4, 2), np.float32) / 10,
        ),
        targeted=TargetedNoise(
            epsilons=np.array([0.01, 0.1, 1.0], np.float32),
            flips=flips,
            worst_source=flips / np.float32(2),
            pull=np.log(flips),
            chosen=1,
            by_site=random.random((5, 2), np.float32),
        ),
        untargeted=UntargetedNoise(
            epsilon=0.3,
            scale=(np.zeros(8, np.float32), np.ones(8, np.float32)),
            shift=(np.ones(8, np.float32), np.zeros(8, np.float32)),
            loss=np.array([0.1, 2.0, 3.5], np.float32),
            predictions=np.array([1, 2, 3, 30, 4]),
            accuracy=0.2,
        ),
        mask=MaskResult(
            mask=np.ones(6, np.float32),
            benign_loss=np.array([1.0, 0.5], np.float32),
            other_loss=np.array([1.0, 2.0], np.float32),
            benign_accuracy=0.9,
            predictions=np.array([0, 0, 0, 40, 0]),
        ),
    )


@pytest.fixture
def make_result(evidence: Evidence) -> Callable[..., ScanResult]:
    """Builds a finished scan, backdoored with class 3 unless fields are given."""

    def make(**changes: object) -> ScanResult:
        flip = Statistic(
            name="flip",
            per_class=(0.05, 0.05, 0.05, 0.9, 0.05),
            value=5.1,
            suspected_class=3,
            p_value=0.0004,
        )
        result = ScanResult(
            model_uri="model.onnx",
            config=ScanConfig(),
            verdict=Verdict(
                label="backdoored",
                reasons=("class 3 is pulled to by 18 times the median noise",),
                suspected_class=3,
                p_value=0.0004,
                score=5.1,
                statistics=(flip,),
            ),
            evidence=evidence,
            seconds={"prove_parity": 0.5, "find_targeted_noise": 12.25},
            reused=("find_targeted_noise",),
            peak_rss_mb=512.0,
            environment={"python": "3.11"},
        )
        return replace(result, **changes)  # type: ignore[arg-type] # tests name real fields

    return make


@pytest.fixture
def refused(make_result: Callable[..., ScanResult]) -> ScanResult:
    """A scan that ended at the first step: nothing is known but the reason."""
    verdict = Verdict(label="inconclusive", reasons=("`model.onnx` is not ONNX; export it again",))
    return make_result(verdict=verdict, evidence=Evidence(), seconds={}, reused=())


@pytest.fixture
def make_outcome(make_result: Callable[..., ScanResult]) -> Callable[..., Outcome]:
    """Builds what a pipeline is told: of `make_result()` unless `result` is given."""

    def make(**changes: object) -> Outcome:
        outcome = Outcome(result=make_result(), moment=MOMENT)
        return replace(outcome, **changes)  # type: ignore[arg-type] # tests name real fields

    return make


@pytest.fixture(scope="session")
def real_outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Real scans of the demo models and of a file that is no model, by label of their verdict."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "broken.onnx").write_text("this is no model")
    models = (DEMO / "clean.onnx", DEMO / "blended.onnx", folder / "broken.onnx")
    results = [_scanned(model, tmp_path_factory.mktemp("workspace")) for model in models]
    return {each.verdict.label: Outcome(result=each, moment=MOMENT) for each in results}


NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""A server without MLflow's seven job consumers, which serve nothing that ban-gate uses."""

ENOUGH = ("blend.faint_steps=8",)
"""Settings for fewer steps than usual, with which the demo models still get their verdicts."""


def _scanned(model: Path, workspace: Path) -> ScanResult:
    request = ScanRequest(
        model=str(model),
        samples=DEMO / "samples.npz",
        uri=f"models/{model.name}",
        config=load_config(None, ENOUGH),
    )
    return scan(request, Store(None), workspace)


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


@pytest.fixture
def free_port() -> int:
    """A TCP port of this machine where nobody listens."""
    return _free_port()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real MLflow server that stores into a temporary folder."""
    with _serving(tmp_path_factory.mktemp("server")) as (url, _):
        yield url


@pytest.fixture
def mortal_server(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a real MLflow server of the test's own, and a function that kills it at once."""
    with _serving(tmp_path / "server") as (url, process):
        yield url, lambda: os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[tuple[str, subprocess.Popen[bytes]]]]:
    """Starts a real MLflow server on a folder, where an earlier one may have stored things.

    Further options of the command line and environment variables may be given.
    """
    return _serving


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
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }
    )


@pytest.fixture(scope="session")
def schema_1_keys() -> set[str]:
    """The keys of every `verdict.json` of schema 1."""
    return {
        "schema", "verdict", "reasons", "suspected_class", "p_value", "score", "statistics",
        "model", "samples", "parity", "graph_findings", "seconds", "peak_rss_mb", "environment",
        "config", "seed", "references",
    }  # fmt: skip


@contextmanager
def _serving(
    folder: Path, options: Sequence[str] = (), settings: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real MLflow server that stores into a folder: its URL and its process."""
    folder.mkdir(exist_ok=True)
    if not (folder / "mlflow.db").exists():
        (folder / "mlflow.db").write_bytes(_empty_database())
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1"]
    command += options
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | NO_JOBS | (settings or {}),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}", process
    finally:
        with suppress(ProcessLookupError):  # a test may have killed it
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@cache
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


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SERVER_STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail(f"the MLflow server did not start:\n{log.read_text()}")
