"""What becomes of one version: the result that its scan, its attestation or its failure makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow_project.sweep.job import OUTCOME_FILE
from pipeline.gate.attestation import Claim
from pipeline.gate.decision import ScanFacts, decide
from pipeline.gate.policy import Policy
from pipeline.printable import printable
from pipeline.report.verdict_json import VERDICT_FILE
from pipeline.structure import structured
from pipeline.sweep.attempts import Attempts
from pipeline.sweep.plan import Line
from pipeline.sweep.results import Result

LONGEST_REASON = 1000  # characters


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Makes results for versions of one plan; `policy` decides where there is one."""

    made_with: Mapping[str, str]
    policy: Policy | None
    written: bool = False

    def judged(self, line: Line, scan: Path, attempts: Attempts) -> Result:
        """The result of a version whose scan left its evidence in a folder."""
        outcome = json.loads((scan / OUTCOME_FILE).read_text(encoding="utf-8"))
        result = replace(
            self._bare(line),
            key=scan.name,
            attempts=attempts.started,
            seconds=float(outcome.get("seconds", 0.0)),
            worker=printable(str(outcome.get("worker", ""))),
            written=self.written,
        )
        if "refused" in outcome:
            reasons = (printable(str(outcome["refused"])),)
            return replace(result, verdict="inconclusive", reasons=reasons)
        document = json.loads((scan / VERDICT_FILE).read_text(encoding="utf-8"))
        return self._decided(line, _with_verdict(result, document), outcome)

    def attested(self, line: Line, claim: Claim) -> Result:
        """The result of a version whose attestation still holds for its files."""
        return replace(
            self._bare(line),
            state="attested",
            verdict=claim.verdict,
            action=claim.action,
            reasons=claim.reasons,
            anomaly_score=claim.anomaly_score,
            critical_value=claim.critical_value,
            p_value=claim.p_value,
            p_is_bound=claim.p_is_bound,
            suspected_class=claim.suspected_class,
            content_digest=claim.content_digest,
            samples_digest=claim.provenance.samples_digest,
            settings_digest=claim.provenance.settings_digest,
            scanner=claim.provenance.scanner,
            run_id=claim.run_id,
        )

    def without_samples(self, line: Line) -> Result:
        """The result of a version that no rule gives samples."""
        reason = f"no samples: no rule of the table fits `{line.name}`; add one and plan again"
        return replace(self._bare(line), state="no samples", reasons=(printable(reason),))

    def given_up(self, line: Line, key: str, attempts: Attempts, reason: str) -> Result:
        """The result of a version whose scan took its process with it too often."""
        told = f"given up: {attempts.deaths} scans took their process with them; {reason}"
        return replace(
            self._bare(line),
            state="given up",
            reasons=(printable(told)[:LONGEST_REASON],),
            key=key,
            attempts=attempts.started,
        )

    def refused(self, line: Line, reason: str) -> Result:
        """The result of a version whose files cannot be looked at."""
        return replace(
            self._bare(line),
            verdict="inconclusive",
            reasons=(printable(reason)[:LONGEST_REASON],),
            written=self.written,
        )

    def failed(self, line: Line, reason: str) -> Result:
        """The result of a version that the server would not give or take."""
        return replace(
            self._bare(line), state="failed", reasons=(printable(reason)[:LONGEST_REASON],)
        )

    def _bare(self, line: Line) -> Result:
        return Result(
            id=line.id,
            name=line.name,
            version=line.version,
            source=line.source,
            state="judged",
            made_with=self.made_with[line.id],
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _decided(self, line: Line, result: Result, outcome: Mapping[str, Any]) -> Result:
        """With the decision: of the gate, of the policy, or of the verdict alone."""
        if gate := outcome.get("gate"):
            reasons = tuple(map(printable, (*gate["reasons"], *result.reasons)))
            return replace(result, action=gate["action"], reasons=reasons, run_id=gate["run_id"])
        if self.policy is None or not outcome.get("facts"):
            return replace(result, action="pass" if result.verdict == "clean" else "block")
        facts = structured(outcome["facts"], ScanFacts)
        facts = replace(facts, model=line.name, version=line.version)
        decision = decide(facts, self.policy, datetime.now(UTC))
        reasons = (*decision.reasons, *result.reasons)
        return replace(result, action=decision.action, reasons=reasons)


def _with_verdict(result: Result, document: Mapping[str, Any]) -> Result:
    return replace(
        result,
        verdict=document["verdict"],
        reasons=tuple(printable(each) for each in document["reasons"]),
        anomaly_score=document["anomaly_score"],
        critical_value=document["critical_value"],
        p_value=document["p_value"],
        p_is_bound=document["p_is_bound"],
        suspected_class=document["suspected_class"],
        content_digest=document["model"]["content_digest"],
        samples_digest=document["samples"]["digest"],
        settings_digest=document["config_digest"],
        scanner=document["scanner"],
    )
