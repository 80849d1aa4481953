"""The real listener over real HTTP: each delivery once or not at all, whatever happens to it."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import onnx
import psutil
import pytest
import requests
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent

from mlflow_project.commands import DEMO
from mlflow_project.listener.job_queue import Job, jobs_in
from mlflow_project.listener.webhook import sign
from tests.support.listening import SECRET, listening
from tests.support.mlflow_servers import serving
from tests.support.scanned_home import scanned_home

GATE = """
import os, sys, time
from pathlib import Path
here = Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(sys.argv[1] + "\\n")
while (here / "hold").exists():
    time.sleep(0.05)
code = int((here / "code").read_text()) if (here / "code").exists() else 0
print("gated", sys.argv[1])
sys.exit(code)
"""


@dataclass(frozen=True)
class Desk:
    """The folder of one listener: its configuration, its queue, and a stand-in for the gate.

    The stand-in is a real process that notes its call, waits while `hold` exists, and ends with
    the number in `code`.
    """

    folder: Path

    def configure(self, settings: str = "") -> None:
        """Writes the configuration: versions of `net` are gated."""
        command = json.dumps([sys.executable, str(self.folder / "gate.py")])
        text = f"command = {command}\nbackoff = 0.1\ncatch_up = 0\n{settings}\n"
        text += '[models.net]\nsamples = "n.npz"\n'
        (self.folder / "listen.toml").write_text(text)

    def hold(self, held: bool) -> None:
        """Lets the gates wait, or go on."""
        (self.folder / "hold").touch() if held else (self.folder / "hold").unlink()

    @property
    def calls(self) -> list[str]:
        """The model versions that were gated, in order."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def jobs(self) -> list[Job]:
        """The queue."""
        return jobs_in(self.folder / "listen.db")

    def wait_for(self, met: Callable[[list[Job]], bool], seconds: float = 30) -> list[Job]:
        """The queue once it is as wanted."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if met(jobs := self.jobs()):
                return jobs
            time.sleep(0.1)
        pytest.fail(f"the queue stayed {self.jobs()}")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A configured folder where no listener runs yet."""
    (tmp_path / "gate.py").write_text(GATE)
    (tmp_path / "n.npz").write_bytes(b"")
    made = Desk(tmp_path)
    made.configure()
    return made


@pytest.fixture
def webhook_server(tmp_path: Path) -> Iterator[str]:
    """A real MLflow server that may send webhooks to this machine."""
    settings = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
    }
    with serving(tmp_path / "server", settings=settings) as (url, _):
        yield url


def _listening(
    desk: Desk, child: dict[str, str], scheme: str = "http"
) -> AbstractContextManager[tuple[str, subprocess.Popen[str]]]:
    return listening(desk.folder, child, scheme)


def _body(version: int, name: str = "net") -> bytes:
    data = {"name": name, "version": str(version), "source": "", "tags": {}}
    return json.dumps({"entity": "model_version", "action": "created", "data": data}).encode()


def _post(
    url: str, identifier: str, body: bytes, *, age: float = 0, secret: str = SECRET, **more: str
) -> requests.Response:
    timestamp = str(int(time.time() - age))
    headers = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": identifier,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": sign(secret, identifier, timestamp, body),
    }
    return requests.post(url, data=body, headers=headers | more, timeout=60)


def _thousand(url: str) -> list[tuple[str, Callable[[], requests.Response]]]:
    """A thousand deliveries in random order, each with its kind."""
    big = b" " * 1_048_577
    kinds = [
        *(("good", lambda n=n: _post(url, f"good {n}", _body(n + 2))) for n in range(200)),
        *(("good", lambda n=n: _post(url, f"good {n}", _body(n + 2))) for n in range(200)),
        *(("same", lambda n=n: _post(url, f"same {n}", _body(999))) for n in range(100)),
        *(
            ("other", lambda n=n: _post(url, f"other {n}", _body(n + 1, "stranger")))
            for n in range(50)
        ),
        *(("unsigned", lambda n=n: requests.post(url, _body(n), timeout=60)) for n in range(100)),
        *(
            ("forged", lambda n=n: _post(url, f"forged {n}", _body(n), secret="wrong " * 4))
            for n in range(100)
        ),
        *(("stale", lambda n=n: _post(url, f"stale {n}", _body(n), age=600)) for n in range(100)),
        *(("malformed", lambda n=n: _post(url, f"bad {n}", b"{" * n)) for n in range(100)),
        *(("large", lambda n=n: _post(url, f"large {n}", big)) for n in range(25)),
        *(("get", lambda: requests.get(url, timeout=60)) for _ in range(13)),
        *(("lost", lambda: requests.post(f"{url}/x", _body(1), timeout=60)) for _ in range(12)),
    ]
    random.Random(0).shuffle(kinds)  # noqa: S311 (no secret)
    return kinds


def _told(kind: str, send: Callable[[], requests.Response]) -> tuple[str, int, str]:
    """What a delivery of a kind is answered: the status, and the word for one that is taken."""
    with send() as answer:
        return kind, answer.status_code, answer.json()["status"] if answer.ok else ""


def test_of_a_thousand_deliveries_each_counts_once_or_is_refused(
    desk: Desk, child: dict[str, str]
) -> None:
    """Signed, replayed, foreign, unsigned, forged, stale, malformed and huge ones, all at once."""
    desk.hold(True)
    with _listening(desk, child) as (url, process):
        _post(url, "first", _body(1))
        desk.wait_for(lambda jobs: jobs[0].state == "running")
        kinds = _thousand(url)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda each: _told(*each), kinds))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0

    assert len(answers) == 1000
    assert Counter(answers) == {
        ("good", 202, "queued"): 200,
        ("good", 200, "known delivery"): 200,
        ("same", 202, "queued"): 1,
        ("same", 200, "already queued"): 99,
        ("other", 200, "ignored"): 50,
        ("unsigned", 401, ""): 100,
        ("forged", 401, ""): 100,
        ("stale", 400, ""): 100,
        ("malformed", 400, ""): 100,
        ("large", 413, ""): 25,
        ("get", 405, ""): 13,
        ("lost", 404, ""): 12,
    }
    assert sorted(job.version for job in desk.jobs()) == [*range(1, 202), 999]
    assert {job.state for job in desk.jobs()} == {"queued"}
    assert desk.calls == ["models:/net/1"]


def test_a_killed_listener_goes_on_where_it_was(desk: Desk, child: dict[str, str]) -> None:
    """Nothing is lost, the gate it left behind is waited for, and each version is gated once."""
    desk.hold(True)
    with _listening(desk, child) as (url, process):
        for version in (1, 2, 3):
            assert _post(url, f"d {version}", _body(version)).status_code == 202
        (running, *_) = desk.wait_for(lambda jobs: bool(jobs[0].pid))
        assert running.pid is not None
        orphan = psutil.Process(running.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    assert orphan.is_running()

    with _listening(desk, child) as (url, _):
        assert orphan.is_running()
        assert _post(url, "d 1", _body(1)).json() == {"status": "known delivery"}
        desk.hold(False)
        jobs = desk.wait_for(lambda jobs: all(job.state == "done" for job in jobs))

    assert [(job.version, job.exit_code) for job in jobs] == [(1, 0), (2, 0), (3, 0)]
    assert [job.attempts for job in jobs] == [1, 1, 1]
    assert jobs[0].said == "gated models:/net/1"
    assert sorted(desk.calls) == [f"models:/net/{version}" for version in (1, 2, 3)]


def test_a_queue_has_one_listener_and_tells_how_it_is(desk: Desk, child: dict[str, str]) -> None:
    """A second listener is exit 2 in one sentence; `--status` is one line per job, or JSON."""
    with _listening(desk, child) as (url, _):
        _post(url, "d", _body(7))
        desk.wait_for(lambda jobs: jobs[0].state == "done")
        second = _ban_gate(desk, child, "--config", "listen.toml")
        port = url.rpartition(":")[2].partition("/")[0]
        third = _ban_gate(desk, child, "--config", "listen.toml", "--port", port, queue="other.db")
        lines = _ban_gate(desk, child, "--status")
        document = _ban_gate(desk, child, "--status", "--json")
        assert requests.get(url.replace("/webhook", "/healthz"), timeout=60).ok
        numbers = requests.get(url.replace("/webhook", "/metrics"), timeout=60).text

    assert (second.returncode, third.returncode) == (2, 2)
    assert "another listener works on" in second.stderr
    assert "cannot listen at 127.0.0.1" in third.stderr
    assert second.stderr.count("\n") == third.stderr.count("\n") == 1
    expected = r"done +exit 0 +attempts 1  \S+\+00:00  net/7  gated models:/net/7\n"
    assert re.fullmatch(expected, lines.stdout)
    assert json.loads(document.stdout)["jobs"][0]["exit_code"] == 0
    assert 'ban_gate_verdicts_total{gate="pass"} 1.0' in numbers
    assert 'ban_gate_queue_jobs{state="queued"} 0.0' in numbers
    assert 'ban_gate_deliveries_total{answer="queued"} 1.0' in numbers
    assert "ban_gate_oldest_waiting_seconds 0.0" in numbers


def test_wrong_usage_is_exit_2(desk: Desk, child: dict[str, str]) -> None:
    """No queue to tell of, no configuration, no secret: one sentence each."""
    missing = _ban_gate(desk, child, "--status", queue="no.db")
    nothing = _ban_gate(desk, child)
    secret = _ban_gate(desk, child, "--config", "listen.toml", secret="short")  # noqa: S106 (of the tests)

    assert {missing.returncode, nothing.returncode, secret.returncode} == {2}
    assert "there is no queue at" in missing.stderr
    assert "Missing option '--config'" in nothing.stderr
    assert "has 5 characters, expected 16" in secret.stderr


def _ban_gate(
    desk: Desk,
    child: dict[str, str],
    *arguments: str,
    queue: str = "listen.db",
    secret: str = SECRET,
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlflow_project", "listen", "--database", queue, *arguments]
    environment = child | {"BAN_GATE_WEBHOOK_SECRET": secret}
    return subprocess.run(
        command, cwd=desk.folder, env=environment, capture_output=True, text=True, check=False
    )


def test_it_speaks_tls(desk: Desk, child: dict[str, str]) -> None:
    """MLflow sends to https only, unless told otherwise."""
    _certificate(desk.folder)
    desk.configure('tls_certificate = "cert.pem"\ntls_key = "key.pem"')

    with _listening(desk, child, "https") as (url, _):
        closing = {"Connection": "close"}  # one that is kept holds up the listener's end for 10 s
        certificate = str(desk.folder / "cert.pem")
        answer = requests.post(url, _body(1), headers=closing, verify=certificate, timeout=60)
        assert answer.status_code == 401

    desk.configure('tls_certificate = "cert.pem"\ntls_key = "n.npz"')
    wrong = _ban_gate(desk, child, "--config", "listen.toml")
    assert wrong.returncode == 2
    assert "`tls_certificate` and `tls_key` cannot be used" in wrong.stderr


def _certificate(folder: Path) -> None:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "listener")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.mark.nightly
@pytest.mark.usefixtures("mlflow_settings")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")  # MLflow's own
def test_mlflow_itself_starts_a_gate(
    desk: Desk, child: dict[str, str], webhook_server: str, tmp_path: Path
) -> None:
    """A version that is created at a real server is truly gated, and promoted.

    The test delivery is accepted and ignored.
    """
    mlflow.set_tracking_uri(webhook_server)
    client = mlflow.MlflowClient()
    event = WebhookEvent(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)
    settings = f'samples = "{DEMO / "samples.npz"}"\npromote = "champion"\n'
    (desk.folder / "listen.toml").write_text(f"[models.digits]\n{settings}")
    home = str(scanned_home(tmp_path, "clean"))
    variables = {"MLFLOW_TRACKING_URI": webhook_server, "BAN_GATE_HOME": home}
    with _listening(desk, child | variables) as (url, _):
        webhook = client.create_webhook("gate", url, [event], secret=SECRET)
        tested = client.test_webhook(webhook.webhook_id)
        mlflow.onnx.log_model(
            onnx.load(DEMO / "clean.onnx"),
            name="model",
            registered_model_name="digits",
            save_as_external_data=False,
            pip_requirements=["onnxruntime"],
        )
        jobs = desk.wait_for(lambda jobs: bool(jobs) and jobs[0].state == "done", seconds=300)

    assert tested.response_status == 200
    assert json.loads(tested.response_body or "") == {"status": "ignored"}
    assert [(job.name, job.version, job.exit_code) for job in jobs] == [("digits", 1, 0)]
    assert dict(client.get_registered_model("digits").aliases) == {"champion": "1"}
