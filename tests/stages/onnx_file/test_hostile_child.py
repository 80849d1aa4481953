"""Laws for the child that reads a hostile file: what it says is printable, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.intake.sandbox import isolated
from pipeline.intake.untrusted import ProvenGraph
from stages.errors import ConversionError
from tests.support import zoo
from tests.support.hostile_judging import LIMITS, require_sentence, written
from tests.support.places import ROOT


def shout() -> ProvenGraph:
    """Work that puts what a file says into its refusal."""
    raise ConversionError("cannot convert `a\nOK: clean\x1b[2J`; export without it")


def test_a_refusal_from_the_child_is_printable() -> None:
    """Whatever a library quotes from a file, no line break or terminal code gets to the caller."""
    with pytest.raises(ConversionError, match=r"`a\\nOK: clean\\x1b\[2J`") as told:
        isolated(LIMITS, shout)

    require_sentence(told.value)


PROGRAM = """
import sys
from pathlib import Path
from pipeline.intake.sandbox import IsolationConfig, Places, Sandbox
from stages.errors import CannotJudge
from tests.support.works import hang_described

path = Path(sys.argv[1])
try:
    Sandbox(limits=IsolationConfig(seconds=6)).run_in(
        Places(writes=(path.parent,)), hang_described, path
    )
except CannotJudge as refusal:
    print(refusal)
"""


@pytest.mark.nightly
def test_a_stopped_child_leaves_nothing_behind(tmp_path: Path) -> None:
    """The caller ends with its refusal alone, also where the child had made locks of its own."""
    path = written(zoo.exported("small_cnn", "legacy"), tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    root = str(ROOT)

    ended = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )

    assert (tmp_path / "described").exists()
    assert "was stopped" in ended.stdout
    assert ended.stderr == ""
