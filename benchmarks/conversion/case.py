"""One file of the corpus: who makes it, and what is expected of the pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal[
    *("ok", "refused", "frozen", "mismatch", "accused", "no gradient"),
    *("crashed", "not exported", "not tried"),
]


class NotTried(Exception):
    """The file cannot be made here; the message names what is missing."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """How one ONNX file is made.

    `write` puts it where it is told; `refusal` says that the right answer to the file is a refusal;
    `free` holds the sizes to use for the axes, beside the batch, that the file leaves free.
    """

    family: str
    model: str
    exporter: str
    write: Callable[[Path], None]
    refusal: bool = False
    free: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The case's name, unique in the corpus."""
        return f"{self.family}/{self.model}/{self.exporter}"

    def file(self, folder: Path) -> Path:
        """Where the case's file is kept below `folder`."""
        return folder / self.family / f"{self.model}.{self.exporter}.onnx"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one file.

    `parity` and `fresh` are the largest relative differences of the pipeline's own gate and of the
    second look at other images; `share` in [0, 1] is that of the weights that are trainable;
    `sites` counts the places where noise may enter; `gradients` in [0, 1] is the share of the
    images that a gradient of the largest score reaches. None where it did not come so far.
    """

    family: str
    model: str
    exporter: str
    refusal: bool
    outcome: Outcome
    reason: str = ""
    opset: int | None = None
    parity: float | None = None
    fresh: float | None = None
    share: float | None = None
    sites: int | None = None
    gradients: float | None = None
    export_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The name of the row's case."""
        return f"{self.family}/{self.model}/{self.exporter}"

    @property
    def is_right(self) -> bool:
        """Whether the outcome is the one that is expected of the file."""
        return self.outcome == ("refused" if self.refusal else "ok")

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))


def read_rows(path: Path) -> dict[str, Row]:
    """The rows of a JSON-lines file by name, the last one where a name is there twice."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [Row(**json.loads(line)) for line in lines]
    return {row.name: row for row in rows}
