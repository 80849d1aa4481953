"""A pytest plugin: one folder for all processes of a run, which goes when the run is over.

`pytest_plugins = ["tests.support.shared_run"]` in `tests/conftest.py` turns it on. The process that
was started makes the folder and names it in its environment, which its workers inherit.
"""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

FOLDER = "BAN_GATE_TEST_RUN"
"""The environment variable that holds the path of the folder."""


def pytest_configure(config: pytest.Config) -> None:
    """Makes the folder, unless a process further up has made one."""
    if FOLDER in os.environ:
        return
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="ban-gate-tests-")
    config.add_cleanup(_remove)


def _remove() -> None:
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)
