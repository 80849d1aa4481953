"""What a scan is asked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config import ScanConfig
from pipeline.samples.preparation import Preparation


@dataclass(frozen=True, kw_only=True)
class ScanRequest:
    """What to scan: a model, its clean samples, and the name the model goes by in reports.

    `model` is what `find_source` takes: a file, a folder, or `FILE.py:FUNCTION`. A native model is
    exported first, by the interpreter `python`, if it is `trusted` to run code. `samples` is an
    `.npz`, or pictures that are brought into the model's input space as `preparation` says.
    `references` are models of the same task that are known to be clean, or profiles that
    `calibrate` wrote; `names` are the names in reports of those that were fetched from elsewhere.

    Of many classes those are searched to the end that are `also` asked for, whatever looks say.

    A `quick` scan takes a first look, and one with a `budget` so many seconds at most.

    A `registered` model is a folder with the files of a version, every one of which must be judged,
    but for the `accepted_files`, by their sha256 in hexadecimal.
    """

    model: str
    samples: Path
    uri: str
    config: ScanConfig = field(default_factory=ScanConfig)
    preparation: Preparation = field(default_factory=Preparation)
    trusted: bool = False
    python: str = sys.executable
    references: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    registered: bool = False
    accepted_files: tuple[str, ...] = ()
    quick: bool = False
    budget: float | None = None
    also: tuple[int, ...] = ()
