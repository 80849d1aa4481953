"""One scan or gate as a child process is asked for it, and how that ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.sweep.plan import Settings

OUTCOME_FILE = "outcome.json"
"""What a child leaves last: a folder that has it is complete."""


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """How a version is gated; empty means "not given".

    `requests` is how many a second the child may send to the server.
    """

    policy: str = ""
    signing_key: str = ""
    tracking_uri: str = ""
    experiment: str = ""
    promote: str = ""
    requests: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """One scan: a model as files, or a version that is gated.

    `uri` is the model's name in reports, `registered` and `accepted_files` are as in
    `ScanRequest`. `facts` asks for what a policy decides on. `attempts` is the note that is taken
    back where the parent dies, and `seconds` the time it may take.
    """

    key: str
    model: str
    uri: str
    samples: str
    settings: Settings
    preprocess: str = ""
    class_names: str = ""
    references: tuple[str, ...] = ()
    registered: bool = False
    accepted_files: tuple[str, ...] = ()
    trusted: bool = False
    python: str = ""
    facts: bool = False
    gate: GateOptions | None = None
    threads: int = 1
    gpu: str = ""
    seconds: float = 14_400.0
    attempts: str = ""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a job ended, and why if it is not `done`.

    `died` took its process with it, `server` did not reach MLflow, `lost` went with a machine or
    a connection and says nothing about the model, `stopped` was asked to. `files` is what was
    made, where it is not in its place already.
    """

    key: str
    kind: Literal["done", "died", "server", "lost", "stopped"]
    reason: str = ""
    worker: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
