"""Laws of the cage: what an untrusted file could make its reader do comes to nothing.

A real child tries. Where a layer is turned off, the attempt it stops succeeds, or is stopped by
another one, and in either case the layer stands among those that are missing.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.cage.layers import CALLS, FILES, LAYERS, NETWORK, PROCESSES, SIGNALS, TCP
from pipeline.intake.sandbox import IsolationConfig, Places, Sandbox
from stages.errors import ConfigError
from tests.support import probes
from tests.support.kernel import refused_here
from tests.support.places import ROOT
from tests.support.probes import GOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has cages")

LIMITS = IsolationConfig(seconds=60, memory_mb=1024)


STOPPED_BY = {
    (FILES,): {"read a key", "list its folder"},
    (CALLS,): {"start a process", "open a socket"},
    (CALLS, NETWORK, TCP): {"connect", "send a datagram"},
    (PROCESSES, SIGNALS): {"signal the parent"},
}
"""What succeeds without some layers."""


def named(missing: tuple[str, ...]) -> set[str]:
    """The layers that sentences on missing ones are about."""
    return {each.partition(":")[0] for each in missing}


def broken_out(folder: Path, *without: str) -> tuple[dict[str, str], Sandbox]:
    """What came of every attempt to break out of a cage without some layers."""
    secret, own = folder / "private" / "signing-key.pem", folder / "own"
    for each in (secret.parent, own):
        each.mkdir()
    secret.write_text("a key")
    sandbox = Sandbox(limits=IsolationConfig(seconds=60, memory_mb=1024, without=without))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = sandbox.run_in(
            Places(writes=(own,)),
            probes.break_out,
            str(secret),
            str(folder / "beside"),
            listener.getsockname()[1],
            os.getpid(),
            str(own),
        ).found
    return found, sandbox


def test_nothing_gets_out_of_the_cage(tmp_path: Path) -> None:
    """No file, no network, no process, no right that the child was not given."""
    found, sandbox = broken_out(tmp_path)

    isolation = sandbox.isolation()

    stopped_by_none = {
        attempt
        for layers, attempts in STOPPED_BY.items()
        if refused_here().issuperset(layers)
        for attempt in attempts
    }
    assert {name for name, told in found.items() if told == GOT} <= stopped_by_none
    assert not (tmp_path / "beside").exists()
    assert (tmp_path / "private" / "signing-key.pem").read_text() == "a key"
    assert isolation is not None
    assert isolation.layers == tuple(each for each in LAYERS if each not in refused_here())
    assert named(isolation.missing) == refused_here()


def test_honest_work_goes_on_as_before(tmp_path: Path) -> None:
    """What reading a model needs is left: threads, imports, temporary files, what it was given."""
    given = tmp_path / "model.onnx"
    given.write_text("a model")
    (tmp_path / "own").mkdir()
    places = Places(writes=(tmp_path / "own",))

    found = (
        Sandbox(limits=LIMITS).run_in(places, probes.work_as_usual, given, tmp_path / "own").found
    )

    assert {name: told for name, told in found.items() if told != GOT} == {}


@pytest.mark.parametrize(("layers", "attempts"), STOPPED_BY.items())
def test_a_layer_that_is_missing_is_named(
    layers: tuple[str, ...], attempts: set[str], tmp_path: Path
) -> None:
    """The report says which layer was not had, and its attempts do succeed then."""
    found, sandbox = broken_out(tmp_path, *layers)

    isolation = sandbox.isolation()

    assert {name for name in attempts if found[name] != GOT} == set()
    assert isolation is not None
    assert set(isolation.layers) == set(LAYERS) - set(layers) - refused_here()
    assert named(isolation.missing) == refused_here() | set(layers)
    turned_off = {f"{name}: turned off by the settings" for name in layers}
    assert turned_off <= {*isolation.missing}


def test_an_unknown_layer_is_a_wrong_setting() -> None:
    """A name that turns nothing off would be a false promise."""
    with pytest.raises(ConfigError, match="`without` has 'network', expected"):
        IsolationConfig(without=("network",))


def test_a_child_sees_no_secret_and_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are passed by name, so a token of any name stays outside; so do open files."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token of the server")
    monkeypatch.setenv("OF_ANY_NAME", "token of another")
    code = (
        "from pipeline.intake.sandbox import IsolationConfig, isolated\n"
        "from tests.support import probes\n"
        "import json, tempfile\n"
        "kept = tempfile.TemporaryFile()\n"
        "import os; os.set_inheritable(kept.fileno(), True)\n"
        "own = isolated(IsolationConfig(), probes.look_at_itself)\n"
        "print(json.dumps([own.environment, own.descriptors]))\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    ).stdout

    assert "token of" not in told
    assert '"PATH"' in told
    assert "socket:" not in told
    assert "pipe:" not in told
    assert '"ORT_DISABLE_TELEMETRY": "1"' in told


WITHOUT_RIGHTS = """
import platform
from pipeline.cage.privileges import drop_capabilities
drop_capabilities(platform.machine(), keep_files=False)
from pipeline.intake.sandbox import IsolationConfig, Sandbox
from tests.support import probes
sandbox = Sandbox(limits=IsolationConfig())
for _ in range(2):
    sandbox.run(probes.look_at_itself)
print([each.partition(":")[0] for each in sandbox.isolation().missing])
"""


def test_a_user_without_rights_has_the_same_cage() -> None:
    """Namespaces are made inside one of the user's own, again and again."""
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT_RIGHTS], check=True, capture_output=True, text=True, cwd=ROOT
    )

    expected = [each for each in LAYERS if each in refused_here()]
    assert (told.stdout, told.stderr) == (f"{expected}\n", "")


PROGRAM = """
import sys
from pathlib import Path
from pipeline.intake.sandbox import IsolationConfig, Places, Sandbox
from tests.support import probes
note, without = Path(sys.argv[1]), tuple(sys.argv[2:])
Sandbox(limits=IsolationConfig(without=without)).run_in(
    Places(writes=(note,)), probes.leave_a_child, note
)
"""


@pytest.mark.parametrize("without", [(CALLS,), (CALLS, PROCESSES)])
def test_nothing_outlives_a_parent_that_is_killed(without: tuple[str, ...], tmp_path: Path) -> None:
    """Neither the child, nor a grandchild in a session of its own, nor the server."""
    caller = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), *without],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    notes = [tmp_path / "child", tmp_path / "grandchild"]
    until(lambda: all(note.exists() and note.read_text() for note in notes))
    started = [int(note.read_text()) for note in notes]
    started += [each.pid for each in psutil.Process(caller.pid).children(recursive=True)]

    caller.send_signal(signal.SIGKILL)
    caller.wait()

    until(lambda: not any(map(lives, started)))


def lives(process: int) -> bool:
    """Whether a process is there and no zombie, which only its parent can take away."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(holds: object, seconds: float = 60.0) -> None:
    """Waits until something holds."""
    assert callable(holds)
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.05)
