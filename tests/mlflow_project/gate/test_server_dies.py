"""A gate whose server dies promotes nothing, loses no verdict, and goes on when called again."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.support.gating import gate, logged, register
from tests.support.mlflow_servers import kill, serving

pytestmark = [
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow's own
]


class Killer(logging.Handler):
    """Kills a server as soon as the first step of a scan is logged."""

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self._server = server

    def emit(self, record: logging.LogRecord) -> None:
        """Whether or not the server is dead already."""
        if record.getMessage().startswith("inspect_onnx"):
            kill(self._server)


@contextmanager
def _killed_in_the_scan(server: subprocess.Popen[bytes]) -> Iterator[None]:
    killer = Killer(server)
    logging.getLogger("pipeline").addHandler(killer)
    try:
        yield
    finally:
        logging.getLogger("pipeline").removeHandler(killer)


@pytest.mark.nightly
def test_a_gate_goes_on_where_a_dead_server_stopped_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between scan and tags: exit 4, verdict kept, nothing promoted; the same command again
    promotes, from the results that were kept.
    """
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # each call waits for the dead else
    command = ("models:/digits/1", "--promote", "champion", "--output", "out", "--tracking-uri")
    with serving(tmp_path / "server") as (url, process), _killed_in_the_scan(process):
        mlflow.set_tracking_uri(url)
        register("digits", logged("clean"))
        stopped = gate(*command, url)
    kept = json.loads((tmp_path / "out" / "verdict.json").read_text())
    with serving(tmp_path / "server") as (url, _):
        client = MlflowClient(url)
        before = client.get_model_version("digits", "1").tags
        again = gate(*command, url)
        aliases = client.get_registered_model("digits").aliases

    assert (stopped.exit_code, stopped.stdout) == (4, ""), stopped.stderr
    assert "nothing was promoted; the verdict `clean` is kept in `out`" in stopped.stderr
    assert kept["verdict"] == "clean"
    assert before == {}
    assert again.exit_code == 0, again.stderr
    assert "kept from an earlier scan" in again.stderr
    assert aliases == {"champion": "1"}
