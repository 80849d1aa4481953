"""The results of a sweep: exactly one file for each version, written whole.

The evidence of a scan lies apart, once for all versions with the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pipeline.atomic_files import write_text
from pipeline.structure import structured
from pipeline.sweep.plan import Line, Plan
from stages.errors import ConfigError
from stages.verdict_label import Label

RESULTS, SCANS, ATTEMPTS, LOCKS = "results", "scans", "attempts", "locks"
"""Folders beside the plan: a file a version; a folder, a file and a lock a scan."""
PASSED, BLOCKED, NOT_JUDGED, SERVER_FAILED = 0, 1, 3, 4

State = Literal["judged", "attested", "no samples", "given up", "failed"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one version fared.

    `attested` has an attestation that is still good and was not judged again, `given up` killed its
    process too often, and `failed` could not be fetched or recorded: the next run tries it again.
    `made_with` names what the plan judged with, `key` the scan, which versions with the same bytes
    share; `written` says whether the registry was told.
    """

    id: str
    name: str
    version: int
    source: str
    state: State
    made_with: str
    verdict: Label | None = None
    action: Literal["pass", "block"] = "block"
    reasons: tuple[str, ...] = ()
    anomaly_score: float | None = None
    critical_value: float | None = None
    p_value: float | None = None
    p_is_bound: bool = False
    suspected_class: int | None = None
    key: str | None = None
    content_digest: str | None = None
    samples_digest: str | None = None
    settings_digest: str | None = None
    scanner: str | None = None
    attempts: int = 0
    seconds: float = 0.0
    worker: str = ""
    written: bool = False
    run_id: str | None = None
    time: str = ""
    schema: int = 1

    @property
    def code(self) -> int:
        """The exit code of this version alone: 0 passed, 1 blocked, 3 not judged, 4 failed."""
        if self.state == "failed":
            return SERVER_FAILED
        if self.action == "pass":
            return PASSED
        if self.state in ("judged", "attested") and self.verdict != "inconclusive":
            return BLOCKED
        return NOT_JUDGED


def exit_code(results: Iterable[Result], missing: int) -> int:
    """The exit code of a sweep: 4 where the server failed or something is `missing`, else 3 where
    something was not judged and nothing blocked, 1 where something is blocked, 0 if all passed.
    """
    codes = {each.code for each in results}
    if missing or SERVER_FAILED in codes:
        return SERVER_FAILED
    for code in (BLOCKED, NOT_JUDGED):
        if code in codes:
            return code
    return PASSED


def result_path(folder: Path, identifier: str) -> Path:
    """Where the result of a version is."""
    return folder / RESULTS / f"{identifier}.json"


def write_result(folder: Path, result: Result) -> Path:
    """Writes the result of a version into the sweep's folder, in one step."""
    return write_text(result_path(folder, result.id), json.dumps(asdict(result), indent=1) + "\n")


def read_result(folder: Path, identifier: str) -> Result | None:
    """The result of a version, None where there is none that can be read."""
    try:
        found = json.loads(result_path(folder, identifier).read_text(encoding="utf-8"))
        return structured(found, Result)
    except (OSError, ValueError, RecursionError, ConfigError):
        return None


def results_of(plan: Plan, folder: Path) -> dict[str, Result]:
    """The results there are for the versions of a plan, by id, in the plan's order.

    One that was made with other settings, samples or another ban-gate is none.
    """
    found: Mapping[str, Result | None] = {
        each.id: read_result(folder, each.id) for each in plan.lines
    }
    wanted = {each.id: made_with(plan, each) for each in plan.lines}
    return {name: each for name, each in found.items() if each and each.made_with == wanted[name]}


def made_with(plan: Plan, line: Line) -> str:
    """What the plan judges a version with, in short: a result made with something else is stale."""
    head = plan.head
    samples = line.samples_digest or line.samples_path
    parts = (head.scanner, head.settings_digest, head.policy_digest, samples)
    return " ".join((each or "-")[-12:] for each in parts)
