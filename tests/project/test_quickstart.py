"""The quick start does what it says: its commands are run as they stand, against a real server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.places import ROOT

PAGE = ROOT / "docs" / "quickstart.md"
PORT = "5000"
MINUTES = 10


def commands() -> list[str]:
    """Every command of the page's console blocks, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines), "a console block holds commands alone"
    return [line.removeprefix("$ ") for line in lines]


@pytest.mark.nightly
def test_an_empty_folder_ends_with_a_blocked_promotion(
    child: dict[str, str], free_port: int, tmp_path: Path
) -> None:
    """One version is promoted, the other blocked, the champion passes verification; in time."""
    work = tmp_path / "empty"
    work.mkdir()
    script = "\n".join(["set -e", *commands()]).replace(PORT, str(free_port))

    with subprocess.Popen(
        ["bash", "-c", script],
        env=child,
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            stdout, stderr = shell.communicate(timeout=MINUTES * 60)
        finally:
            with suppress(ProcessLookupError):  # the page stops its server itself
                os.killpg(shell.pid, signal.SIGKILL)

    assert shell.returncode == 0, stderr
    passed, blocked, code, verified = stdout.splitlines()[-4:]
    assert passed.startswith("pass   clean")
    assert passed.endswith("models:/digits/1  champion: none → 1")
    assert blocked.startswith("block  backdoored")
    assert blocked.endswith("class 7  models:/digits/2")
    assert code == "blocked with exit code 1"
    assert verified.startswith("valid     models:/digits@champion")
    assert (work / "report" / "verdict.json").exists()
