"""The command line explains itself, at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mlflow_project.cli import exit_codes
from mlflow_project.cli import main as cli

Call = Callable[..., Result]


def test_version_says_what_runs(call: Call) -> None:
    """The version and the folder the code was imported from."""
    result = call("--version")

    assert result.exit_code == 0
    assert str(Path(cli.__file__).parents[2]) in result.stdout


@pytest.mark.parametrize("command", [[], ["scan"], ["inspect"], ["demo"]])
def test_help_teaches(call: Call, command: list[str]) -> None:
    """Every command explains itself; the group lists every exit code."""
    result = call(*command, "--help")

    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) >= 5
    if not command:
        for code in set(exit_codes.EXIT_CODES.values()) - {130}:
            assert f"\n    {code} " in result.stdout


def test_help_does_not_wait_for_heavy_imports() -> None:
    """Help starts without torch and MLflow."""
    script = (
        "import sys; from click.testing import CliRunner;"
        "from mlflow_project.cli.main import main;"
        "CliRunner().invoke(main, ['--help']);"
        "sys.exit(bool({'torch', 'mlflow'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
