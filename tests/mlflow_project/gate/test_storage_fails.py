"""Storage that fails a gate: one sentence with its own reason, nothing promoted, no secret told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.support.gating import SAMPLES, logged, register
from tests.support.mlflow_servers import serving
from tests.support.places import ROOT
from tests.support.storage_servers import BUCKET, S3, S3_SECRETS, s3

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow's own
]
SECRETS = [S3_SECRETS["AWS_SECRET_ACCESS_KEY"]]


@dataclass(frozen=True)
class Bucketed:
    """A registry whose versions lie directly in S3, and the environment of its clients."""

    url: str
    storage: S3
    environment: dict[str, str]

    def gate(self, *options: str, **changed: str | None) -> subprocess.CompletedProcess[str]:
        """What a gate of the first version says; variables may be changed or taken away."""
        environment = {**self.environment, **changed}
        command = [sys.executable, "-m", "mlflow_project", "gate", "models:/digits/1"]
        command += ["--experiment", BUCKET]
        return subprocess.run(
            [*command, "--samples", str(SAMPLES), *options],
            env={name: value for name, value in environment.items() if value is not None},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def bucketed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucketed]:
    """One version of a model, whose files lie in S3 without a server between."""
    folder, before = tmp_path_factory.mktemp("bucketed"), mlflow.get_tracking_uri()
    with s3(folder) as storage, pytest.MonkeyPatch.context() as patch:
        settings = S3_SECRETS | {"MLFLOW_S3_ENDPOINT_URL": storage.url}
        for name, value in settings.items():
            patch.setenv(name, value)
        with serving(folder / "server") as (url, _):
            mlflow.set_tracking_uri(url)
            made = mlflow.create_experiment(BUCKET, f"s3://{BUCKET}/runs")
            patch.setenv("MLFLOW_EXPERIMENT_ID", made)
            register("digits", logged("clean"))
            environment = os.environ | {
                "MLFLOW_TRACKING_URI": url,
                "BAN_GATE_HOME": str(folder / "home"),
                "PYTHONPATH": str(ROOT),
            }
            yield Bucketed(url, storage, environment)
    mlflow.set_tracking_uri(before)


def _told(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a gate that could not do its work."""
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert not [each for each in SECRETS if each in done.stdout + done.stderr]
    assert done.stdout == ""
    (told,) = [each for each in done.stderr.splitlines() if each.startswith("ban-gate: ")]
    return told


def test_each_failure_of_s3_is_one_sentence(bucketed: Bucketed, tmp_path: Path) -> None:
    """No client, no credentials, no such bucket's rights, and nobody at the address."""
    (tmp_path / "boto3.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'boto3'\", name='boto3')"
    )
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    assert "install `ban-gate[s3]`" in _told(bucketed.gate(PYTHONPATH=path))

    nobody = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    told = _told(bucketed.gate(AWS_EC2_METADATA_DISABLED="true", **nobody))
    assert "Unable to locate credentials" in told
    assert "check address, credentials and permissions" in told

    told = _told(bucketed.gate(MLFLOW_S3_ENDPOINT_URL="http://127.0.0.1:9", BAN_GATE_PATIENCE="3"))
    assert "Could not connect to the endpoint URL" in told
    assert "check that the storage of artifacts answers from here" in told

    version = MlflowClient(bucketed.url).get_model_version("digits", "1")
    assert version.tags == {}


def test_a_gate_waits_for_storage_that_comes_back(bucketed: Bucketed) -> None:
    """An outage that is shorter than the patience costs time and nothing else."""
    command = [
        *(sys.executable, "-m", "mlflow_project", "gate", "models:/digits/1", "--dry-run"),
        *("--samples", str(SAMPLES), "--promote", "champion", "--experiment", BUCKET),
    ]
    patient = bucketed.environment | {"BAN_GATE_PATIENCE": "200"}
    bucketed.storage.stop()
    with subprocess.Popen(command, env=patient, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        while "asked again" not in (line := waiting.stderr.readline()):
            assert line, "the gate ended without a word about its storage"
        bucketed.storage.start()
        rest = waiting.stderr.read()

    # moto forgets what it held, so the version's files are gone now: no outage any more
    assert waiting.returncode == 4, rest
    assert "Traceback" not in rest
