"""Converters of operators that only detectors have: torchvision waits until one is needed."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from stages.converters import register

register()
assert "torchvision" not in sys.modules
assert "torch._dynamo" not in sys.modules
from onnx2torch.node_converters.registry import get_converter

for operator, version in [("RoiAlign", 10), ("RoiAlign", 16), ("NonMaxSuppression", 11)]:
    assert get_converter(operator, version)
"""


def test_torchvision_waits_for_a_detector() -> None:
    """No process loads it, or torch's compiler, for what a classifier needs."""
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
