"""A real listener as a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

SECRET = "a secret that only MLflow knows"  # noqa: S105 (of the tests)
STARTS_WITHIN = 60  # seconds; about 5 on two busy cores


@contextmanager
def listening(
    folder: Path, child: Mapping[str, str], scheme: str = "http"
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A real listener: the address of its webhook and its process, ended by SIGTERM.

    Its configuration `listen.toml` is in the folder, and there it keeps `listen.db` and `log`.
    """
    command = [sys.executable, "-m", "mlflow_project", "listen", "--port", "0"]
    command += ["--config", str(folder / "listen.toml")]
    command += ["--database", str(folder / "listen.db")]
    environment = {**child, "BAN_GATE_WEBHOOK_SECRET": SECRET}
    log = folder / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=stderr, text=True)
    try:
        yield f"{scheme}://{_address(log, process)}", process
    finally:
        process.terminate()
        process.wait(60)


def _address(log: Path, process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"listening at (\S+)", log.read_text()):
            return found[1]
        time.sleep(0.05)
    pytest.fail(f"the listener did not start:\n{log.read_text()}")
