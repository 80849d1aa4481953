"""How one file is judged in a limited child process, and in which way that ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.intake.sandbox import IsolationConfig, isolated
from pipeline.intake.untrusted import ProvenGraph, describe, prove_conversion
from stages.errors import BanGateError, ModelRefused, SamplesError
from stages.onnx_file.inspection import inspect_onnx
from stages.twin.settings import ParityConfig
from stages.types import CleanSamples

Work = Callable[[Path], object]

LIMITS = IsolationConfig(seconds=10, memory_mb=2048)
GRACE = 5.0  # seconds to end a child and to read its answer
SAMPLES = 8  # as many as parity takes by default
LARGEST_IMAGE = 2**22  # numbers
ACCEPTED, UNFORESEEN, SLOW, LARGE, CRASHED = (
    *("accepted", "refused: unforeseen", "stopped: time", "stopped: memory"),
    "stopped: crash",
)
ESCAPED, LATE = "ESCAPED", "LATE"
ODD = (UNFORESEEN, CRASHED, ESCAPED, LATE)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one file: which it was, how it was made, in which way it ended and how soon."""

    number: int
    seed: str
    changes: tuple[str, ...]
    step: str
    kind: str
    text: str
    seconds: float

    @property
    def is_unforeseen(self) -> bool:
        """Whether the promise is broken: something escaped, or came too late."""
        return self.kind in (ESCAPED, LATE)


def prove(path: Path) -> ProvenGraph:
    """What a scan does with a file and samples that fit it, up to the first run."""
    artifact = inspect_onnx(path)
    shape = tuple(size or 1 for size in artifact.input.shape[1:])
    if math.prod(shape) > LARGEST_IMAGE:
        raise SamplesError(f"nobody has samples of {math.prod(shape)} numbers each")
    images = np.random.default_rng(0).random((SAMPLES, *shape), dtype=np.float32)
    samples = CleanSamples(images=images, labels=np.zeros(SAMPLES, np.int64))
    return prove_conversion(artifact, samples, ParityConfig())


def judge(path: Path, limits: IsolationConfig) -> Iterator[tuple[str, str, str, float]]:
    """For each step the file gets to: its name, how it ended, the sentence and the seconds."""
    for step, work in (("inspect", describe), ("prove", prove)):
        started = time.monotonic()
        kind, text = judge_step(path, work, limits)
        seconds = time.monotonic() - started
        yield step, LATE if seconds > limits.seconds + GRACE else kind, text, seconds
        if kind == f"refused: {ModelRefused.__name__}":
            return


def judge_step(path: Path, work: Work, limits: IsolationConfig) -> tuple[str, str]:
    """How one step of the work ended, and the sentence that says why."""
    try:
        isolated(limits, work, path)
    except BanGateError as error:
        return _kind(error), str(error)
    except Exception as error:  # noqa: BLE001 (this is what must not happen)
        return ESCAPED, f"{type(error).__name__}: {error}"
    return ACCEPTED, ""


def _kind(error: BanGateError) -> str:
    signs = {
        "please report it": UNFORESEEN,
        "and was stopped": SLOW,
        "MiB of memory": LARGE,
        "the process that reads": CRASHED,
    }
    text = str(error)
    found = (kind for sign, kind in signs.items() if sign in text)
    return next(found, f"refused: {type(error).__name__}")
