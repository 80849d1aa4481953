"""A folder of pictures is enough from Python, too."""

from __future__ import annotations

from pathlib import Path

import pytest

import ban_gate
from tests.support.pictures import MODEL, save_digits

pytestmark = pytest.mark.usefixtures("mlflow_settings")


def test_a_folder_is_scanned_with_the_names_of_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty pictures are too few for a verdict, but all that comes before is done."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    folder = save_digits(tmp_path / "pictures", 60)

    result = ban_gate.scan(MODEL, folder)

    assert result.reasons[0].startswith("only 60 clean samples")
    assert result.class_names == tuple(f"digit-{number}" for number in range(10))
