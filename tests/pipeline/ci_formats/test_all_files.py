"""The files for CI are written whole, beside the verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.atomic_files import write_texts
from pipeline.ci_formats.all_files import output_texts
from pipeline.ci_formats.checks import Outcome
from pipeline.evidence import ScanResult

Make = Callable[..., Outcome]


def test_every_file_is_written_and_no_draft_is_left(make_outcome: Make, tmp_path: Path) -> None:
    """The folder holds the texts under their names, and nothing else."""
    outcome = make_outcome()

    write_texts(output_texts(outcome), tmp_path)

    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert written == output_texts(outcome)
    assert set(written) == {"junit.xml", "verdict.sarif", "summary.md", "bom.cdx.json"}


def test_earlier_files_are_replaced(
    make_outcome: Make, refused: ScanResult, tmp_path: Path
) -> None:
    """The folder holds what the last scan says."""
    write_texts(output_texts(make_outcome()), tmp_path)

    write_texts(output_texts(make_outcome(result=refused)), tmp_path)

    assert "not judged" in (tmp_path / "summary.md").read_text()


def test_a_folder_that_is_gone_is_an_error(make_outcome: Make, tmp_path: Path) -> None:
    """Nothing is passed over in silence."""
    with pytest.raises(FileNotFoundError):
        write_texts(output_texts(make_outcome()), tmp_path / "gone")
