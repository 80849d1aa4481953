"""Untrusted work in a child process: it cannot hang, eat the memory, or take its caller along."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from pipeline.intake.sandbox import IsolationConfig, Places, Sandbox, isolated
from stages.errors import CannotJudge, ConfigError, ConversionError
from stages.types import Floats
from tests.support.probes import own_number

LIMITS = IsolationConfig(seconds=20, memory_mb=512)


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """Everything a result may hold."""

    process: int
    raw: bytes
    numbers: Floats
    place: Path


def answer(scale: float, *, name: str) -> Answer:
    numbers = np.full(3, scale, dtype=np.float32)
    return Answer(process=own_number(), raw=b"\x00\xff", numbers=numbers, place=Path(name))


def test_a_result_comes_back_whole_from_another_process() -> None:
    """Numbers, arrays, bytes and paths are what the work returned, and it ran elsewhere."""
    result = isolated(LIMITS, answer, 2.5, name="model.onnx")

    assert (result.raw, result.place) == (b"\x00\xff", Path("model.onnx"))
    np.testing.assert_array_equal(result.numbers, np.float32([2.5, 2.5, 2.5]))
    assert result.process != os.getpid()
    assert not psutil.pid_exists(result.process)


def refuse() -> Answer:
    raise ConversionError("cannot convert `Foo`; export without it")


def test_a_refusal_keeps_its_kind_and_its_sentence() -> None:
    """What the work refuses, the caller refuses."""
    with pytest.raises(ConversionError, match=r"^cannot convert `Foo`; export without it$"):
        isolated(LIMITS, refuse)


def fail() -> Answer:
    raise RecursionError("too deep\nand more")


def test_any_other_exception_is_a_refusal_with_its_first_line() -> None:
    """No exception that a hostile file provokes reaches the caller as it is."""
    with pytest.raises(CannotJudge, match=r"fail with RecursionError: too deep; please report it"):
        isolated(LIMITS, fail)


def noting(limits: IsolationConfig, work: Callable[[Path], Answer], note: Path) -> Answer:
    """What work returns that may leave a note."""
    return Sandbox(limits=limits).run_in(Places(writes=(note.parent,)), work, note)


def hang(note: Path) -> Answer:
    note.write_text(str(own_number()))
    while True:
        time.sleep(1)


def test_a_hang_is_stopped_at_the_limit_and_leaves_no_process(tmp_path: Path) -> None:
    """The caller waits no longer than it said."""
    started = time.monotonic()

    with pytest.raises(CannotJudge, match=r"not read and converted within 1.5 s and was stopped"):
        noting(IsolationConfig(seconds=1.5), hang, tmp_path / "pid")

    assert time.monotonic() - started < 15
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def take_with_numpy(note: Path) -> Answer:
    note.write_text("started")
    return answer(float(np.ones(2**28, dtype=np.float64)[-1]), name="never")


def take_with_torch(note: Path) -> Answer:
    note.write_text("started")
    return answer(float(torch.ones(2**28, dtype=torch.float64)[-1]), name="never")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
@pytest.mark.parametrize("work", [take_with_numpy, take_with_torch])
def test_memory_beyond_the_limit_is_refused_not_taken(
    work: Callable[[Path], Answer], tmp_path: Path
) -> None:
    """2 GiB are asked for and 512 MiB allowed."""
    with pytest.raises(CannotJudge, match="takes more than 512 MiB of memory"):
        noting(LIMITS, work, tmp_path / "note")

    assert (tmp_path / "note").read_text() == "started"


def test_memory_within_the_limit_is_given(tmp_path: Path) -> None:
    """The limit counts what the work takes, not what the imports took."""
    result = noting(IsolationConfig(memory_mb=3000), take_with_torch, tmp_path / "note")

    assert float(result.numbers[0]) == 1.0


def crash() -> Answer:
    ctypes.string_at(0)
    raise AssertionError("a null pointer was read")


def test_a_crash_of_native_code_is_a_refusal_that_names_the_signal() -> None:
    """A segmentation fault ends the child alone."""
    with pytest.raises(CannotJudge, match=r"crashed the process that reads it \(SIGSEGV"):
        isolated(LIMITS, crash)


def leave() -> Answer:
    os._exit(5)


def test_a_process_that_ends_without_a_result_is_a_refusal() -> None:
    """No result is no pass."""
    with pytest.raises(CannotJudge, match="ended with code 5"):
        isolated(LIMITS, leave)


def leave_a_link() -> Answer:
    own = Path(os.environ["HOME"])
    (own / "stage.json").symlink_to("/etc/hostname")
    os._exit(0)


def leave_a_bomb() -> Answer:
    own = Path(os.environ["HOME"])
    facts = {"sha256": {}}
    (own / "stage.json").write_text(json.dumps(facts))
    (own / "values.json").write_text("{}")
    archive = zipfile.ZipFile(own / "arrays.npz", "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("array0.npy", "w") as member:
        for _ in range(600):
            member.write(bytes(2**20))
    os._exit(0)


def leave_another_kind() -> Answer:
    own = Path(os.environ["HOME"])
    (own / "refusal.json").write_text(json.dumps({"kind": "annotations", "message": "x"}))
    os._exit(0)


@pytest.mark.parametrize("work", [leave_a_link, leave_a_bomb, leave_another_kind])
def test_what_a_child_leaves_is_not_trusted(work: Callable[[], Answer]) -> None:
    """A child that was taken over leaves links, bombs and names; each is a refusal."""
    with pytest.raises(CannotJudge, match=r"left (no result|no refusal|a refusal of no known)"):
        isolated(LIMITS, work)


def chatter() -> Answer:
    sys.stdout.write("to stdout\n")
    os.write(1, b"from a library\n")
    return answer(1.0, name="quiet")


def test_what_the_work_prints_never_reaches_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    """stdout is for the verdict."""
    isolated(LIMITS, chatter)

    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def survive_interrupt() -> Answer:
    os.kill(os.getpid(), signal.SIGINT)
    return answer(1.0, name="still here")


def test_an_interrupt_from_the_keyboard_is_the_callers_to_handle() -> None:
    """Ctrl-C goes to both processes; the child prints no traceback of its own."""
    assert isolated(LIMITS, survive_interrupt).place == Path("still here")


@pytest.mark.parametrize("setting", [{"seconds": 0.0}, {"memory_mb": -1}])
def test_a_limit_that_allows_nothing_is_a_wrong_setting(setting: dict[str, float]) -> None:
    """It would refuse every model."""
    with pytest.raises(ConfigError, match=r"expected a .*number (above 0|from 1)"):
        IsolationConfig(**setting)  # type: ignore[arg-type] # one of the two
