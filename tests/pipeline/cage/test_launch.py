"""Laws of the cage for code that builds a model: it works on, without secrets and network."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.cage import launch, secret_places
from pipeline.cage.layers import CALLS, FILES, LAYERS, PROCESSES
from tests.support.kernel import refused_here
from tests.support.places import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has cages")

PROGRAM = """
import json, os, socket, subprocess, sys, tempfile
from pathlib import Path
def tried(attempt):
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    return "got it"
home, port, folder = Path.home(), int(sys.argv[1]), Path(sys.argv[2])
attempts = {
    "key of the gate": (home / ".cache/ban-gate/signing-key.pem").read_bytes,
    "key in the settings": (home / ".config/ban-gate/key").read_bytes,
    "key in other settings": (home / "settings/ban-gate/key").read_bytes,
    "key of ssh": (home / ".ssh/id").read_bytes,
    "credentials": Path(sys.argv[3]).read_bytes,
    "plant in the cache": lambda: (home / ".cache/planted").write_text("x"),
    "connect": lambda: socket.create_connection(("127.0.0.1", port), timeout=5),
    "environment": lambda: os.environ["SECRET_TOKEN"] or 1,
    "read a cache": (home / ".cache/weights").read_bytes,
    "write": lambda: (folder / "model.onnx").write_text("x"),
    "temporary": lambda: tempfile.TemporaryFile().close(),
    "run a program": lambda: subprocess.run(["true"], check=True),
}
told = {}
for name, attempt in attempts.items():
    try:
        told[name] = tried(attempt)
    except KeyError:
        told[name] = "not there"
print(json.dumps(told))
"""
DENIED = {
    *("key of the gate", "key in the settings", "key in other settings", "key of ssh"),
    *("credentials", "plant in the cache", "connect"),
}


def test_code_that_is_trusted_gets_no_secret_and_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads what frameworks keep, and writes to its folder alone."""
    home, folder, credentials = tmp_path / "home", tmp_path / "folder", tmp_path / "token.json"
    keys = (".cache/ban-gate/signing-key.pem", ".config/ban-gate/key", "settings/ban-gate/key")
    for each in (*keys, ".ssh/id", ".cache/weights"):
        (home / each).parent.mkdir(parents=True, exist_ok=True)
        (home / each).write_text("secret")
    credentials.write_text("secret")
    folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "settings"))
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        command = (sys.executable, "-c", PROGRAM, port, str(folder), str(credentials))
        ended = launch.run(command, folder, 60, ())

    told = json.loads(ended.output)
    assert ended.code == 0
    assert {name for name in told if told[name] != "got it"} == {*DENIED, "environment"}
    assert {*ended.had} == {*LAYERS} - {FILES, CALLS} - refused_here()
    missing = {each.partition(":")[0] for each in ended.missing}
    assert missing == {FILES, CALLS} | refused_here()


@pytest.mark.parametrize("without", [(), (PROCESSES,)])
def test_what_takes_too_long_ends_with_all_it_started(
    without: tuple[str, ...], tmp_path: Path
) -> None:
    """Also a process that went into a session of its own."""
    marker = f"marker-of-{os.getpid()}-{len(without)}"
    code = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', '{marker}'],"
        " start_new_session=True)\n"
        "time.sleep(600)\n"
    )

    with pytest.raises(subprocess.TimeoutExpired):
        launch.run((sys.executable, "-c", code), tmp_path, 3, without)

    assert running(marker) == []


def test_what_dies_with_its_caller(tmp_path: Path) -> None:
    """A caller that is killed leaves no exporter behind."""
    marker = f"marker-of-{os.getpid()}"
    code = (
        "import sys; from pathlib import Path; from pipeline.cage import launch\n"
        "sleep = 'import time; time.sleep(600)'\n"
        f"launch.run((sys.executable, '-c', sleep, '{marker}'), Path({str(tmp_path)!r}), 600, ())\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    end = time.monotonic() + 60
    while not running(marker) and time.monotonic() < end:
        time.sleep(0.05)
    assert running(marker)

    caller.send_signal(signal.SIGKILL)
    caller.wait()

    while running(marker) and time.monotonic() < end:
        time.sleep(0.05)
    assert running(marker) == []


def test_a_program_that_is_none_is_an_error(tmp_path: Path) -> None:
    """It says why it cannot be run."""
    with pytest.raises(OSError, match="No such file"):
        launch.run((str(tmp_path / "none"),), tmp_path, 10, ())


def test_everything_but_what_is_hidden_stays(tmp_path: Path) -> None:
    """The places around something hidden hold all of its neighbours, at every level."""
    for each in ("a/b/secret", "a/b/open", "a/other", "c"):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "a/b/secret")

    places = set(secret_places.around([tmp_path / "a/b/secret"], tmp_path))

    assert places == {tmp_path / "a/b/open", tmp_path / "a/other", tmp_path / "c"}


def running(marker: str) -> list[int]:
    """The processes, but no callers, that have a marker among their arguments."""
    return [
        each.pid
        for each in psutil.process_iter(["cmdline", "status"])
        if marker in (each.info["cmdline"] or [])
    ]
