"""What this kernel gives a cage, found by other means than the cage's own."""

from __future__ import annotations

import ctypes
import subprocess
from functools import cache
from shutil import which

from pipeline.cage.layers import FILES, NETWORK, PROCESSES, SIGNALS, TCP

CREATE_RULESET, ONLY_VERSION = 444, 1
NEEDED = {FILES: 1, TCP: 4, SIGNALS: 6}
"""The version of Landlock that has a layer."""


@cache
def refused_here() -> frozenset[str]:
    """The layers that this kernel refuses: many containers give no namespaces."""
    version = ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, ONLY_VERSION)
    refused = {name for name, needed in NEEDED.items() if version < needed}
    for name, option in ((NETWORK, "--net"), (PROCESSES, "--pid")):
        command = [which("unshare") or "", "--user", "--map-root-user", option, "--fork", "true"]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            refused.add(name)
    return frozenset(refused)
