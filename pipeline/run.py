"""One run of a scan: what was asked for, and what it works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.intake.sandbox import Sandbox
from pipeline.note import Note
from pipeline.pace.course import Course
from pipeline.pace.crew import Crew
from pipeline.pace.task import Scope
from pipeline.request import ScanRequest


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A request, the store of results, the device, a folder of its own, the sandbox that files are
    read in, where evidence is noted, the course, which says how far it is and when it has to stop,
    and the crew, if others take on parts of its searches.
    """

    request: ScanRequest
    store: Store
    device: torch.device
    workspace: Path
    sandbox: Sandbox
    note: Note
    course: Course
    crew: Crew | None = None

    @property
    def config(self) -> ScanConfig:
        """The settings."""
        return self.request.config

    @property
    def scope(self) -> Scope:
        """How much of the model is searched."""
        return Scope(alone=not self.request.references)
