"""Jobs of CI as the services run them: a checkout, expressions filled in, and bash."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path


def bash(
    script: str, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs a script as the runners do: it ends at the first command that fails."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text of GitHub (`${{ … }}`) or GitLab (`$[[ … ]]`) with its expressions' values.

    Raises:
        KeyError: an expression has no value here.
    """
    return re.sub(
        r"\$(?:\{\{|\[\[) *([\w.-]+) *(?:\}\}|\]\])", lambda found: values[found[1]], text
    )


def outputs(path: Path) -> dict[str, str]:
    """What steps wrote to `GITHUB_OUTPUT`."""
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines)
