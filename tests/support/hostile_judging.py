"""How tests judge a file that may be hostile: within small limits, up to its first run.

Every child imports this module anew, so it imports no more than a scan does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import fx

from pipeline.intake.sandbox import IsolationConfig
from pipeline.intake.untrusted import ProvenGraph, prove_conversion
from stages.errors import CannotJudge
from stages.onnx_file.inspection import inspect_onnx, load_proto
from stages.passes import normalise
from stages.twin.convert import build_module
from stages.twin.settings import ParityConfig
from stages.types import CleanSamples

LIMITS = IsolationConfig(seconds=20, memory_mb=512)
IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(11))


def written(content: bytes, folder: Path) -> Path:
    """The file with that content."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


def judge(content: bytes, folder: Path) -> fx.GraphModule:
    """The twin of a file, by the steps that come before anything is run."""
    path = written(content, folder)
    inspect_onnx(path)
    return build_module(normalise(load_proto(path)))


def prove(path: Path) -> ProvenGraph:
    """What a scan does with a file up to its first run, on two images."""
    samples = CleanSamples(images=IMAGES.numpy(), labels=np.zeros(2, np.int64))
    return prove_conversion(inspect_onnx(path), samples, ParityConfig())


def require_sentence(error: CannotJudge) -> None:
    """One line that a person can read, without a traceback."""
    text = str(error)
    assert text.strip() == text != ""
    assert text.isprintable()  # no line break, no terminal code
    assert "Traceback" not in text
    assert len(text) < 1000
