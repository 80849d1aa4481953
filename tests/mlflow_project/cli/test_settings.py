"""Settings are listed and refused before anything heavy is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlflow_project.cli.main import main
from pipeline.config import ScanConfig
from pipeline.settings_page import settings_file, settings_markdown, settings_schema
from tests.support.places import DEMO

HEAVY = ("torch", "onnxruntime", "onnx", "mlflow", "scipy", "matplotlib")
PROGRAM = f"""
import sys
from mlflow_project.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print([name for name in {HEAVY} if name in sys.modules])
"""
SCAN = ("scan", str(DEMO / "clean.onnx"), "--samples", str(DEMO / "samples.npz"))
LONGEST = 30.0  # seconds, on a machine that does much else


def told(*arguments: str) -> Result:
    """What `ban-gate settings` prints."""
    return CliRunner().invoke(main, ["settings", *arguments])


def started(child: dict[str, str], place: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, what was loaded of all that is heavy, and stderr of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=place,
        env=child,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
    )
    return done.returncode, done.stdout.splitlines()[-1], done.stderr


@pytest.mark.parametrize("override", ["judge.false_alarm_rate=-1", "false_alarm_rate=0.1"])
@pytest.mark.parametrize(
    "command",
    [
        SCAN,
        ("gate", "models:/digits/1", *SCAN[2:]),
        ("inspect", SCAN[1]),
        ("demo",),
        ("calibrate", *SCAN[1:], "--output", "profile.json"),
        ("export", SCAN[1], "--output", "model.onnx"),
    ],
    ids=lambda command: command[0],
)
def test_a_wrong_setting_is_refused_before_anything_is_loaded(
    child: dict[str, str], tmp_path: Path, command: tuple[str, ...], override: str
) -> None:
    """Exit 2, one sentence, nothing heavy imported and nothing written."""
    begun = time.monotonic()

    code, loaded, stderr = started(child, tmp_path, *command, "--set", override)

    assert time.monotonic() - begun < LONGEST
    assert (code, loaded) == (2, "[]")
    assert "judge.false_alarm_rate" in stderr
    assert len(stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_settings_are_listed_without_loading_anything(
    child: dict[str, str], tmp_path: Path
) -> None:
    """They are read from the files of the searches, which need torch only to search."""
    assert started(child, tmp_path, "settings")[:2] == (0, "[]")


def test_what_is_listed_is_what_is_set(tmp_path: Path) -> None:
    """The file, the schema and the page, each by its option."""
    path = tmp_path / "scan.toml"
    path.write_text("[judge]\nnear = 2.0\n")

    assert told().stdout == settings_file(ScanConfig())
    assert "near = 2.0" in told("--config", str(path)).stdout
    assert "seed = 3" in told("--seed", "3").stdout
    assert json.loads(told("--json-schema").stdout) == settings_schema()
    assert told("--markdown").stdout == settings_markdown()


def test_wrong_settings_are_told_by_listing_them() -> None:
    """Exit 2, so that a file can be checked without a model."""
    result = told("--set", "seed=-1")

    assert result.exit_code == 2
    assert "`seed` is -1, expected a whole number from 0" in result.stderr
