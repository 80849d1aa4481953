"""A process has one folder of temporary files, and the folders of dead ones go."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from mlflow_project.own_folder import LOCK, PREFIX, own_folder, sweep


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of the test lie."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_temporary_files_lie_in_it_and_go_with_it(root: Path) -> None:
    """Those of libraries and of children, too; afterwards all is as before."""
    with own_folder() as folder:
        inside = Path(tempfile.mkdtemp())
        assert inside.parent == folder == Path(os.environ["TMPDIR"])
        assert folder.parent == root

    assert list(root.iterdir()) == []
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(root)


@pytest.mark.parametrize("locked", [True, False])
def test_what_a_dead_process_left_goes(root: Path, locked: bool) -> None:
    """Also what something late wrote after the lock was gone."""
    left = root / f"{PREFIX}dead"
    (left / "late").mkdir(parents=True)
    if locked:
        (left / LOCK).touch()

    sweep(root)

    assert not left.exists()


def test_what_lives_or_belongs_to_others_stays(root: Path) -> None:
    """A folder whose lock is held, one by another name, and what a link leads to."""
    alive, other, elsewhere = root / f"{PREFIX}alive", root / "ban-gate-other", root / "elsewhere"
    for each in (alive, other, elsewhere):
        each.mkdir()
    (root / f"{PREFIX}link").symlink_to(elsewhere)

    with FileLock(alive / LOCK):
        sweep(root)

        assert alive.is_dir()
    assert other.is_dir()
    assert elsewhere.is_dir()
