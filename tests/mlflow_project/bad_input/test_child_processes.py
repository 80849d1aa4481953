"""A process of its own ends like the command line in this one, interpreter and libraries too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bad_calls import EVIDENCE, MALFORMED_TOML, PICTURE, sentences


@pytest.mark.nightly
def test_child_processes_fail_like_the_command_line_in_this_one(
    world: Path, tmp_path: Path, experiment: tuple[str, ...], child: dict[str, str]
) -> None:
    """As CI runs it, C++ libraries and interpreter exit included: same codes, streams apart."""
    calls = {3: PICTURE, 2: MALFORMED_TOML}
    running = {
        code: subprocess.Popen(
            [sys.executable, "-m", "mlflow_project", *scan.arguments(world), *experiment,
             "--output", str(tmp_path / str(code))],
            env=child, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for code, scan in calls.items()
    }  # fmt: skip

    ended = {code: (process.communicate(), process.wait()) for code, process in running.items()}

    for code, ((stdout, stderr), returned) in ended.items():
        (sentence,) = sentences(stderr)
        assert returned == code, stderr
        assert calls[code].sentence in sentence
        assert stdout.count("\n") == (code == 3)
        assert "Traceback" not in stderr
        left = [path.name for path in tmp_path.glob(f"{code}/*")]
        assert sorted(left) == (EVIDENCE if code == 3 else [])
    assert list(tmp_path.glob("mlflow.db")) == []
