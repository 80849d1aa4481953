"""Finds what no webhook has told of: versions that were registered and never gated.

It also puts a note on each version whose gate was given up.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow_project.listener.config import SECRET_VARIABLE, Gates, ListenConfig
from mlflow_project.listener.job_queue import JobQueue
from mlflow_project.listener.webhook import ModelVersionName
from pipeline.printable import printable

ASKS_WITHIN = 600.0  # seconds that a registry gets for one question
FIRST_RETRY = 15.0  # seconds; doubled after each pass that fails, up to `catch_up`
LEAST_PAUSE = 5.0  # seconds between two passes, however many ask for one
MODULE = "mlflow_project.listener.registered"

logger = logging.getLogger(__name__)


class CannotAsk(Exception):
    """A registry gave no answer; the sentence says why."""


class CatchUp:
    """Asks the registries at the start, now and then, and when a delivery gives reason to."""

    def __init__(self, queue: JobQueue, config: ListenConfig) -> None:
        self._queue = queue
        self._config = config
        self._stop, self._soon = threading.Event(), threading.Event()
        self.failures = 0
        self.last_success: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Asks in a thread while the block runs, unless `catch_up` is 0."""
        if not self._config.settings.catch_up:
            yield
            return
        thread = threading.Thread(target=self._work, name="catch-up")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._soon.set()
            thread.join()

    def soon(self) -> None:
        """Asks for a pass in the next seconds."""
        self._soon.set()

    def _work(self) -> None:
        retry, every = FIRST_RETRY, self._config.settings.catch_up
        while not self._stop.is_set():
            self._soon.clear()
            if self.once():
                retry, pause = FIRST_RETRY, every
            else:
                retry, pause = min(2 * retry, every), min(retry, every)
            self._stop.wait(min(LEAST_PAUSE, every))
            self._soon.wait(pause)

    def once(self) -> bool:
        """One pass over all registries; whether each gave an answer."""
        answered = True
        for question in questions(self._config):
            try:
                found = [_version(each) for each in self._ask(question)]
            except CannotAsk as error:
                answered = False
                self.failures += 1
                logger.warning("catching up: %s", error)
                continue
            wanted = [each for each in found if self._config.gate_for(each[0]) is not None]
            if queued := self._queue.add_missing(wanted, time.time()):
                logger.info("catching up: %d version(s) were never gated; queued", queued)
        answered &= self._note_given_up()
        if answered:
            self.last_success = time.time()
        return answered

    def _note_given_up(self) -> bool:
        for job in self._queue.jobs("given up"):
            if job.told or self._stop.is_set():
                continue
            gate = self._config.gate_for(job.target)
            question = {
                "action": "given up",
                "tracking_uri": gate.tracking_uri if gate else "",
                "workspace": job.workspace,
                "name": job.name,
                "version": job.version,
                "said": job.said or f"exit {job.exit_code}",
            }
            try:
                self._ask(question)
            except CannotAsk as error:
                self.failures += 1
                logger.warning("%s: cannot note that it was given up: %s", job.target, error)
                return False
            self._queue.told(job)
        return True

    def _ask(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        environment = {name: value for name, value in os.environ.items() if name != SECRET_VARIABLE}
        if question["workspace"]:
            environment["MLFLOW_WORKSPACE"] = question["workspace"]
        process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", MODULE],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        out, err = self._answer(process, json.dumps(question).encode())
        if process.returncode != 0:
            raise CannotAsk(printable((err.decode(errors="replace").splitlines() or ["?"])[-1]))
        answer: list[dict[str, Any]] = json.loads(out)
        return answer

    def _answer(self, process: subprocess.Popen[bytes], question: bytes) -> tuple[bytes, bytes]:
        """What the process says; it is ended if it takes too long or the listener stops."""
        deadline, given = time.monotonic() + ASKS_WITHIN, question
        while True:
            try:
                return process.communicate(given or None, timeout=0.5)
            except subprocess.TimeoutExpired as error:
                given = b""
                if self._stop.is_set() or time.monotonic() > deadline:
                    process.kill()
                    process.communicate()
                    raise CannotAsk("no answer in time") from error


def questions(config: ListenConfig) -> list[dict[str, Any]]:
    """What to ask: of each registry and workspace the versions of the models that are gated."""
    asked: dict[tuple[str, str], list[str] | None] = {}
    for workspace, gates in {"": config.gates, **config.workspaces}.items():
        for uri, names in _wanted(gates).items():
            asked[uri, workspace] = names
    return [
        {"action": "never gated", "tracking_uri": uri, "workspace": workspace, "names": names}
        for (uri, workspace), names in asked.items()
    ]


def _wanted(gates: Gates) -> dict[str, list[str] | None]:
    """The names to look for at each registry; None for all of them."""
    wanted: dict[str, list[str] | None] = {}
    for name, gate in gates.models.items():
        names = wanted.setdefault(gate.tracking_uri, [])
        if names is not None:
            names.append(name)
    if gates.default is not None:
        wanted[gates.default.tracking_uri] = None
    return wanted


def _version(found: dict[str, Any]) -> tuple[ModelVersionName, float]:
    target = ModelVersionName(
        name=found["name"], version=found["version"], workspace=found["workspace"]
    )
    return target, float(found["made"])
