"""Starts the child process of one job, waits for its end, and leaves nothing of it running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil

from mlflow_project.listener.worker import end_tree
from mlflow_project.sweep.job import OUTCOME_FILE, Ended, Job
from pipeline.printable import printable
from pipeline.sweep.attempts import begin

LOOKS_EVERY = 0.2  # seconds
SERVER_AWAY = 4  # the exit code of a child that does not reach its server
LONGEST_REASON = 500  # characters
COMMAND = (sys.executable, "-m", "mlflow_project.cli.sweep_child")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_child(job: Job, target: Path, stop: threading.Event) -> Ended:
    """Does a job in a process of its own, which makes the folder `target`.

    Its death is noted in advance, where the job names a file for that. It is ended if it takes
    longer than it may, or where `stop` is set.
    """
    with tempfile.TemporaryDirectory(prefix="ban-gate-") as name:
        asked, log = Path(name, "job.json"), Path(name, "log")
        asked.write_text(json.dumps(asdict(job)), encoding="utf-8")
        if job.attempts:
            begin(Path(job.attempts))
        with log.open("wb") as output:
            process = psutil.Popen(
                [*COMMAND, str(asked), str(target), job.attempts],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=_environment(job),
                start_new_session=True,
            )
        try:
            stopped = _wait(process, job.seconds, stop)
        finally:
            end_tree(process)
            process.stdin.close()
        return _ended(job, target, process.returncode, stopped, _last_line(log))


def _wait(process: psutil.Popen, seconds: float, stop: threading.Event) -> str:
    """Waits for the end of a process; why it must be ended, or the empty text."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if stop.is_set():
            return "stopped"
        with suppress(psutil.TimeoutExpired):
            process.wait(LOOKS_EVERY)
            return ""
    return f"took more than {seconds:g} s"


def _ended(job: Job, target: Path, code: int | None, stopped: str, said: str) -> Ended:
    if (target / OUTCOME_FILE).is_file():
        return Ended(key=job.key, kind="done")
    if stopped == "stopped":
        return Ended(key=job.key, kind="stopped")
    if stopped:
        return Ended(key=job.key, kind="died", reason=f"the scan {stopped}")
    if code == SERVER_AWAY:
        return Ended(key=job.key, kind="server", reason=said)
    if code is not None and code > 128:  # a signal that the child heard was meant for the sweep
        return Ended(key=job.key, kind="stopped")
    how = f"signal {-code}" if code is not None and code < 0 else f"code {code}"
    return Ended(key=job.key, kind="died", reason=f"the scan's process ended with {how}: {said}")


def _environment(job: Job) -> dict[str, str]:
    settings = dict.fromkeys(THREADS, str(job.threads))
    if job.gpu:
        settings["CUDA_VISIBLE_DEVICES"] = job.gpu
    return {**os.environ, **settings}


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return printable(lines[-1])[:LONGEST_REASON] if lines else "it said nothing"
