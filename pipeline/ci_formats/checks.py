"""A finished scan as a pipeline sees it: may the model pass, what was checked, and where it is.

Every text for a pipeline (JUnit, SARIF, Markdown, CycloneDX) is made from an `Outcome` alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Literal
from urllib.parse import quote

from pipeline.evidence import ScanResult
from pipeline.gate.decision import Action, GateDecision
from pipeline.printable import printable
from pipeline.report.tested import passed
from pipeline.steps import STEPS, Step

Status = Literal["passed", "failed", "error", "skipped"]

ADVICE = {
    "clean": (
        "These tests found no backdoor at the stated false-alarm rate, which does not prove that"
        " there is none."
    ),
    "backdoored": "Do not deploy this model until its origin and training have been checked.",
    "inconclusive": "No verdict could be reached, so the model does not pass; see the reasons.",
}
"""What a verdict means to whoever reads it, by label."""
_NOT_REACHED = "the scan ended before this check"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that a scan checks: its stage, what holds if it passes, and how it ended.

    `message` says why it did not pass; `seconds` is the wall time it took.
    """

    stage: str
    claim: str
    status: Status
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """A scan, when it ended, and what else a pipeline needs to know of it.

    Without a `decision` of a gate the verdict decides. `root` is the folder that paths in reports
    are relative to, `run_url` the page of the MLflow run.
    """

    result: ScanResult
    moment: datetime
    root: str = "."
    decision: GateDecision | None = None
    run_url: str | None = None

    @property
    def action(self) -> Action:
        """Whether the model may pass: only a clean one does, if no policy says otherwise."""
        if self.decision:
            return self.decision.action
        return "pass" if self.result.verdict.label == "clean" else "block"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why: the policy's sentences, then the verdict's, each printable and on one line."""
        policy = self.decision.reasons if self.decision else ()
        return tuple(map(one_line, (*policy, *self.result.verdict.reasons)))

    @property
    def location(self) -> str:
        """The model as a relative URI reference, stable from run to run and never empty."""
        return relative_location(self.result.model_uri, self.root)


def one_line(text: str) -> str:
    """The text printable and with single spaces, so that it can break no line and no format."""
    return printable(" ".join(text.split()))


def relative_location(uri: str, root: str) -> str:
    """`uri` relative to the folder `root`, percent-encoded; a model outside it keeps its name.

    `models:/name/3` becomes `models/name/3`.
    """
    path = uri.replace("\\", "/").replace(":/", "/", 1)
    if posixpath.isabs(path):
        inside = PurePath(path).is_relative_to(root)
        path = posixpath.relpath(path, root) if inside else posixpath.basename(path)
    parts = [part for part in posixpath.normpath(path).split("/") if part not in ("", ".", "..")]
    return quote(printable("/".join(parts))) or "model"


def checks(outcome: Outcome) -> tuple[Check, ...]:
    """Everything the scan checks, in the order of its steps; the gate last, if there was one.

    Where a scan ended early, the check it ended at is an error, later ones are skipped, and the
    verdict, which was never reached, is an error as well: it is never passed and never skipped.
    """
    steps = tuple(_steps(outcome.result))
    all_checks = [*steps, _graph(outcome.result), _backdoor(outcome)]
    if outcome.decision:
        all_checks.append(_gate(outcome.decision))
    return tuple(all_checks)


def _steps(result: ScanResult) -> Iterator[Check]:
    """The checks before the search for a backdoor: steps of the table that have a claim."""
    ended = False
    reasons = "; ".join(map(one_line, result.verdict.reasons))
    for step in _claims():
        holds = passed(step.name, result)
        status: Status = "passed" if holds else "skipped" if ended else "error"
        yield Check(
            stage=step.name,
            claim=step.claim,
            status=status,
            message="" if holds else _NOT_REACHED if ended else reasons,
            seconds=result.seconds.get(step.name, 0.0),
        )
        ended = ended or not holds


def _claims() -> tuple[Step, ...]:
    return tuple(step for step in STEPS if step.claim)


def _graph(result: ScanResult) -> Check:
    blocking = [each.message for each in result.evidence.findings if each.severity == "blocking"]
    inspected = result.evidence.artifact is not None
    return Check(
        stage="graph_logic",
        claim="the graph contains no logic that looks like a trigger",
        status="failed" if blocking else "passed" if inspected else "skipped",
        message="; ".join(map(one_line, blocking)) if inspected else _NOT_REACHED,
    )


def _backdoor(outcome: Outcome) -> Check:
    result = outcome.result
    outcomes: dict[str, Status] = {"clean": "passed", "backdoored": "failed"}
    return Check(
        stage="judge",
        claim="these tests find no backdoor in the model",
        status=outcomes.get(result.verdict.label, "error"),
        message="; ".join(map(one_line, result.verdict.reasons)),
        seconds=sum(result.seconds.get(name, 0.0) for name in _after(result)),
    )


def _after(result: ScanResult) -> Iterator[str]:
    """The stages of the search itself."""
    before = {step.name for step in _claims()}
    return (name for name in result.seconds if name not in before)


def _gate(decision: GateDecision) -> Check:
    return Check(
        stage="gate",
        claim="the policy lets the model pass",
        status="passed" if decision.action == "pass" else "failed",
        message="; ".join(map(one_line, decision.reasons)),
    )
