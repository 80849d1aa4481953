"""The listener's numbers for Prometheus, read from the queue when they are asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Counter as Count
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mlflow_project.listener.catch_up import CatchUp
from mlflow_project.listener.gate_process import ANSWERS
from mlflow_project.listener.job_queue import Job, JobQueue

VERDICTS = dict(zip(ANSWERS, ("pass", "block", "cannot judge"), strict=True))


class Metrics:
    """All numbers of one listener."""

    def __init__(self, queue: JobQueue, catch_up: CatchUp) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Queue(queue, catch_up))
        self._deliveries = Count(
            "ban_gate_deliveries", "Webhooks by their answer", ["answer"], registry=self._registry
        )

    def delivered(self, answer: str) -> None:
        """Counts a delivery by what became of it."""
        self._deliveries.labels(answer).inc()

    def text(self) -> bytes:
        """All numbers in the format of Prometheus."""
        return generate_latest(self._registry)


class _Queue(Collector):
    """What the queue says; it outlives the process, and so do these numbers."""

    def __init__(self, queue: JobQueue, catch_up: CatchUp) -> None:
        self._queue, self._catch_up = queue, catch_up

    def collect(self) -> Iterator[Metric]:
        """The numbers as they are now."""
        jobs = self._queue.jobs()
        yield _by("queue_jobs", "Gates by state", "state", Counter(each.state for each in jobs))
        waiting = [each.since for each in jobs if each.state in ("queued", "running")]
        age = time.time() - min(waiting) if waiting else 0.0
        yield _one("oldest_waiting_seconds", "Age of the oldest gate that has not ended", age)
        yield _total("verdicts", "Gates that ended, by what they said", "gate", _verdicts(jobs))
        starts = sum(each.attempts for each in jobs)
        yield _total("gate_starts", "Starts of gates", "", {"": starts})
        lost = starts - sum(each.state in ("running", "done") for each in jobs)
        yield _total("gate_failures", "Starts that ended without an answer", "", {"": max(0, lost)})
        failures = self._catch_up.failures
        yield _total("catch_up_failures", "Questions no registry answered", "", {"": failures})
        last = self._catch_up.last_success or 0.0
        yield _one("last_catch_up_time_seconds", "Unix time of the last whole catch-up", last)


def _verdicts(jobs: list[Job]) -> Counter[str]:
    return Counter(
        VERDICTS.get(each.exit_code, "other") if each.exit_code is not None else "other"
        for each in jobs
        if each.state == "done"
    )


def _one(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"ban_gate_{name}", meaning, value=value)


def _by(name: str, meaning: str, label: str, values: Counter[str]) -> Metric:
    family = GaugeMetricFamily(f"ban_gate_{name}", meaning, labels=[label])
    for state in ("queued", "running", "done", "given up"):
        family.add_metric([state], values[state])
    return family


def _total(name: str, meaning: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"ban_gate_{name}", meaning, labels=[label] if label else [])
    for each, number in values.items():
        family.add_metric([each] if label else [], number)
    return family
