"""Runs whose process was killed, which would be RUNNING for ever: they end as KILLED later.

A run says which process records it; the next scan in the same experiment on the same machine ends
those of processes that are gone.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from pathlib import Path

import psutil
from mlflow import MlflowClient

PROCESS_TAG = "ban.process"
MOST = 100
"""Runs that are looked at before a scan."""
CLOCK_SET = 60.0  # seconds
_BOOT, _NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")

logger = logging.getLogger(__name__)


def process_name() -> str:
    """What no other process is called, here or elsewhere, now or later."""
    process = psutil.Process()
    return f"{_machine()}/{process.pid}/{process.create_time():.0f}"


def end_unfinished(client: MlflowClient, experiment: str) -> None:
    """Ends the runs of an experiment whose processes ran on this machine and are dead."""
    filters = f"attributes.status = 'RUNNING' and tags.`{PROCESS_TAG}` LIKE '{_machine()}/%'"
    for run in client.search_runs([experiment], filters, max_results=MOST):
        if not _lives(run.data.tags[PROCESS_TAG]):
            client.set_terminated(run.info.run_id, "KILLED")
            logger.warning("run %s was left by a process that is gone; ended it", run.info.run_id)


def _machine() -> str:
    """The machine since it was started, and where a process's number is its own."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # Linux has both
        parts += [_BOOT.read_text().strip(), _NAMESPACE.readlink().name.strip("pid:[]")]
    return "/".join(parts)


def _lives(name: str) -> bool:
    """Whether a process of this machine is still there; clocks may have been set since."""
    number, started = name.split("/")[-2:]
    try:
        return abs(psutil.Process(int(number)).create_time() - float(started)) < CLOCK_SET
    except (psutil.Error, ValueError):
        return False
