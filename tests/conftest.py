"""What holds for every test: shared fixtures, threads, telemetry, the CI job, and examples."""

from __future__ import annotations

import gc
import os

import hypothesis

pytest_plugins = [
    "tests.support.shared_run",
    "tests.support.finished_scans",
    "tests.support.mlflow_servers",
]

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("BAN_GATE_PATIENCE", "0")  # nobody waits for servers that tests end
# As many workers as cores run the suite; with threads of their own they would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
    os.environ.pop(name, None)  # what a test scans is not the verdict of the job it runs in

# What the imports made stays to the end, and nobody need look through it again and again: that
# took a fourth of the suite's time.
gc.set_threshold(10_000)

# The same examples every time: a suite that fails at random is not read.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")


def pytest_collection_finish() -> None:
    """Hides from the garbage collector what the imports made."""
    gc.freeze()
