"""Judges one changed file after the other for a while, and keeps those that ended oddly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzz.judging import ODD, Outcome, judge
from benchmarks.fuzz.mutants import mutant
from pipeline.intake.sandbox import IsolationConfig


def fuzz(
    corpus: dict[str, bytes], seed: int, seconds: float, folder: Path, limits: IsolationConfig
) -> Iterator[Outcome]:
    """The outcomes of one changed file after the other, for that long; odd files are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path, end, number = folder / "model.onnx", time.monotonic() + seconds, 0
    while time.monotonic() < end:
        name, changes, content = mutant(corpus, seed, number)
        path.write_bytes(content)
        outcomes = [
            Outcome(
                number=number,
                seed=name,
                changes=changes,
                step=step,
                kind=kind,
                text=text,
                seconds=spent,
            )
            for step, kind, text, spent in judge(path, limits)
        ]
        if any(one.kind in ODD for one in outcomes):
            path.rename(folder / f"{seed}-{number}.onnx")
        yield from outcomes
        number += 1
