"""The models that are shipped tell nothing of the machine that made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.places import DEMO


@pytest.mark.parametrize("path", sorted(DEMO.glob("*.onnx")), ids=lambda path: path.stem)
def test_no_shipped_model_names_a_place(path: Path) -> None:
    """Exporters note where each layer stood in whose files."""
    content = path.read_bytes()

    for trace in (b"site-packages", b"stack_trace", b'File "', b"/home/"):
        assert trace not in content
