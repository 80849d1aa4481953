"""A listener that is killed, deaf and short of storage loses no version and gates none twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
import requests

from mlflow_project.listener.job_queue import Job, jobs_in
from mlflow_project.listener.webhook import sign
from tests.support import quick_gate
from tests.support.listening import SECRET, listening
from tests.support.mlflow_servers import serving
from tests.support.storage_servers import BUCKET, S3

pytestmark = pytest.mark.nightly

SIZE = float(os.environ.get("BAN_GATE_LISTENER_LOAD", "0.2"))
"""1 is the whole load: 200 versions told of in 1 000 deliveries, and 200 that nobody tells of."""
VERSIONS, DELIVERIES, KILLS, OUTAGES = round(200 * SIZE), round(1000 * SIZE), 10, 2
AWAY = 15.0  # seconds of an outage
ENDS_WITHIN = 1800  # seconds


class Stored(S3):
    """Storage whose files are there again when it comes back."""

    def start(self) -> None:
        """Serves one file for every version there will be."""
        super().start()
        for version in range(1, 2 * VERSIONS + 1):
            place = f"{self.url}/{BUCKET}/net/{version}"
            readable = {"x-amz-acl": "public-read"}
            requests.put(place, b"a model", headers=readable, timeout=30).raise_for_status()


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Stored]:
    """Storage of all versions."""
    server = Stored(tmp_path)
    server.start()
    yield server
    server.stop()


def _configured(folder: Path) -> None:
    command = json.dumps([sys.executable, quick_gate.__file__])
    (folder / "n.npz").write_bytes(b"")
    (folder / "listen.toml").write_text(
        f'command = {command}\nbackoff = 0.5\ncatch_up = 20.0\n[models.net]\nsamples = "n.npz"\n'
    )


def _deliver(url: str, number: int) -> bool:
    """One webhook, as MLflow sends it; whether anybody took it."""
    version = number % VERSIONS + 1
    data = {"name": "net", "version": str(version), "source": "", "tags": {}}
    body = json.dumps({"entity": "model_version", "action": "created", "data": data}).encode()
    identifier, timestamp = f"delivery {number}", str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": identifier,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": sign(SECRET, identifier, timestamp, body),
    }
    try:
        return requests.post(url, data=body, headers=headers, timeout=5).ok
    except requests.RequestException:
        return False


@contextmanager
def _flickering(storage: Stored) -> Iterator[None]:
    """Storage that goes away twice while the block runs, for some seconds each."""
    stop = threading.Event()

    def flicker() -> None:
        for _ in range(OUTAGES):
            stop.wait(AWAY)
            storage.stop()
            stop.wait(AWAY)
            storage.start()

    thread = threading.Thread(target=flicker)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _wait(folder: Path, met: Callable[[list[Job]], bool]) -> list[Job]:
    deadline = time.monotonic() + ENDS_WITHIN
    while time.monotonic() < deadline:
        if met(jobs := jobs_in(folder / "listen.db")):
            return jobs
        time.sleep(1)
    pytest.fail(f"the queue stayed {Counter(job.state for job in jobs_in(folder / 'listen.db'))}")


def _register(client: mlflow.MlflowClient, number: int) -> None:
    for _ in range(number):
        client.create_model_version("net", "s3://models/net", await_creation_for=0)


def _delivered_and_killed(
    folder: Path, environment: dict[str, str], numbers: list[int], kill: int
) -> int:
    """How many deliveries a listener took before it was killed at any moment of its work."""
    with listening(folder, environment) as (url, process):
        with ThreadPoolExecutor(8) as pool:
            taken = sum(pool.map(lambda number: _deliver(url, number), numbers))
        time.sleep(random.Random(kill).uniform(0.5, 3.0))  # noqa: S311 (no secret)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    return taken


@pytest.mark.usefixtures("mlflow_settings")
def test_each_version_is_gated_exactly_once(
    tmp_path: Path, child: dict[str, str], storage: Stored
) -> None:
    """Deliveries five times over, storage away twice, ten kills, and half of the versions made
    while nobody listens.
    """
    _configured(tmp_path)
    log, began = tmp_path / "gated", time.monotonic()
    with serving(tmp_path / "server") as (registry, _):
        client = mlflow.MlflowClient(registry)
        client.create_registered_model("net")
        _register(client, VERSIONS)
        environment = child | {
            "MLFLOW_TRACKING_URI": registry,
            "QUICK_GATE_STORAGE": f"{storage.url}/{BUCKET}",
            "QUICK_GATE_LOG": str(log),
        }
        numbers = list(range(DELIVERIES))
        random.Random(0).shuffle(numbers)  # noqa: S311 (no secret)
        taken = 0
        with _flickering(storage):
            for kill in range(KILLS):
                taken += _delivered_and_killed(tmp_path, environment, numbers[kill::KILLS], kill)
                if kill == KILLS // 2:
                    _register(client, VERSIONS)
            with listening(tmp_path, environment):
                jobs = _wait(
                    tmp_path,
                    lambda jobs: (
                        len(jobs) >= 2 * VERSIONS and all(job.state == "done" for job in jobs)
                    ),
                )
        tagged = [
            found.version
            for found in client.search_model_versions("name = 'net'", max_results=10_000)
            if found.tags
        ]
    gated = Counter(log.read_text().splitlines())
    failed = sum(job.attempts - 1 for job in jobs)
    print(  # noqa: T201 (the numbers of a load test)
        f"{len(jobs)} versions, {taken} of {DELIVERIES} deliveries taken, {failed} starts that"
        f" failed, {time.monotonic() - began:.0f} s"
    )

    assert taken == DELIVERIES
    assert gated == {f"net/{version}": 1 for version in range(1, 2 * VERSIONS + 1)}
    assert len(tagged) == len(jobs) == 2 * VERSIONS
    assert {(job.exit_code, job.said) for job in jobs} == {
        (0, f"pass  models:/net/{job.version}") for job in jobs
    }
