"""A gate that judges nothing and is quick: a process that reads storage and marks the version.

Called as a listener calls a gate. Exit code 4 and one sentence if storage or registry is away.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path


def main() -> None:
    """Reads the version's file, tags the version, and notes that it did."""
    name, _, version = sys.argv[1].removeprefix("models:/").rpartition("/")
    try:
        _ask(f"{os.environ['QUICK_GATE_STORAGE']}/{name}/{version}")
        tag = {"name": name, "version": version, "key": "ban.attestation", "value": "quick"}
        registry = os.environ["MLFLOW_TRACKING_URI"]
        _ask(f"{registry}/api/2.0/mlflow/model-versions/set-tag", json.dumps(tag).encode())
    except OSError as error:
        sys.stderr.write(f"ban-gate: the storage is away ({error})\n")
        sys.exit(4)
    with Path(os.environ["QUICK_GATE_LOG"]).open("a") as log:
        log.write(f"{name}/{version}\n")
    sys.stdout.write(f"pass  {sys.argv[1]}\n")


def _ask(url: str, body: bytes | None = None) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 (of the tests' own servers)
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (same)
        answer.read()


if __name__ == "__main__":
    main()
