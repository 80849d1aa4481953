"""A bar per step on a terminal, none anywhere else, and never a character on stdout."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from itertools import pairwise

import numpy as np
import pytest

from mlflow_project.progress_bars import progress_bars
from pipeline.cache.store import Store
from pipeline.steps import STEPS
from stages import progress
from stages.published.results import BanResult
from stages.stage import stage

REDRAWN = 0.15  # seconds; tqdm redraws a bar every 0.1


class Terminal:
    """A real pseudo-terminal, to write on and to read what it was sent."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.screen = os.fdopen(slave, "w")

    def shown(self) -> str:
        """Everything sent since the last look."""
        self.screen.flush()
        parts = []
        while select.select([self.master], [], [], 0.05)[0]:
            parts.append(os.read(self.master, 65536))
        return b"".join(parts).decode()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal 100 columns wide."""
    terminal = Terminal()
    yield terminal
    terminal.screen.close()
    os.close(terminal.master)


def _frames(shown: str) -> list[str]:
    """What stood on the line, one after the other."""
    return [frame.strip() for frame in re.split(r"[\r\n]|\x1b\[A", shown) if frame.strip()]


def test_a_step_is_named_numbered_and_filled(terminal: Terminal) -> None:
    """The bar grows from nothing, and says which step of how many it is."""
    with redirect_stderr(terminal.screen), progress_bars(STEPS)("find_neuron_noise"):
        for _ in progress.ticks(4):
            time.sleep(REDRAWN)

    frames = _frames(terminal.shown())
    assert all(frame.startswith(f"[1/{len(STEPS)}] find neuron noise") for frame in frames)
    assert "  0 % |" in frames[0]
    assert re.search(r" (25|50|75|100) % \|", "".join(frames))
    assert re.search(r"\d\d:\d\d<\d\d:\d\d$", frames[-1]), "time taken and time left"


def test_the_bar_leaves_no_trace(terminal: Terminal) -> None:
    """Once the step is over the line is blank again, for the log line that follows."""
    with redirect_stderr(terminal.screen), progress_bars(STEPS)("judge"):
        pass

    shown = terminal.shown()
    assert shown.endswith("\r")
    assert shown.split("\r")[-2].strip() == ""
    assert "\n" not in shown


def test_every_step_has_the_next_number(terminal: Terminal) -> None:
    """One watch counts through a whole scan; the next scan begins at 1."""
    for watch in (progress_bars(STEPS), progress_bars(STEPS)):
        for name in ("one", "two", "three"):
            with redirect_stderr(terminal.screen), watch(name):
                pass

    numbers = [frame.split("/")[0] for frame in _frames(terminal.shown())]
    assert numbers == ["[1", "[2", "[3"] * 2


def test_counts_that_start_again_start_the_bar_again(terminal: Terminal) -> None:
    """A step with two loops, one after the other, fills its bar twice and never beyond the end."""
    with redirect_stderr(terminal.screen), progress_bars(STEPS)("find_mask"):
        for steps in (2, 4):
            for _ in progress.ticks(steps):
                time.sleep(REDRAWN)

    shares = [int(found) for found in re.findall(r"(\d+) % \|", terminal.shown())]
    falls = [later < earlier for earlier, later in pairwise(shares)]
    assert max(shares) <= 100
    assert sum(falls) == 1


def test_a_step_that_fails_takes_its_bar_along(terminal: Terminal) -> None:
    """The error passes through, and whoever listened before listens again."""
    heard: list[tuple[int, int]] = []

    with (
        progress.listening(lambda *report: heard.append(report)),
        pytest.raises(ZeroDivisionError),
        redirect_stderr(terminal.screen),
        progress_bars(STEPS)("judge"),
    ):
        raise ZeroDivisionError
    with progress.listening(lambda *report: heard.append(report)):
        list(progress.ticks(2))

    assert heard == [(1, 2), (2, 2)]
    assert terminal.shown().endswith("\r")


@stage(version=1)
def count(steps: int) -> BanResult:
    """A stage that only takes its time."""
    for _ in progress.ticks(steps):
        pass
    return BanResult(predictions=np.zeros(2, np.int64), share=1.0, accuracy=0.0)


def test_the_store_shows_its_stages(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """As a scan does it: bars on the terminal, stdout untouched."""
    store = Store(None, progress_bars(STEPS))

    with redirect_stderr(terminal.screen):
        store.run(count, 3)
        with store.timed("read_samples"):
            pass

    shown = terminal.shown()
    assert f"[1/{len(STEPS)}] count" in shown
    assert f"[2/{len(STEPS)}] read samples" in shown
    assert capsys.readouterr().out == ""


def test_what_is_no_terminal_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file of CI holds no carriage returns and no bars."""
    with progress_bars(STEPS)("judge"):
        for _ in progress.ticks(3):
            pass

    told = capsys.readouterr()
    assert told.err == told.out == ""
