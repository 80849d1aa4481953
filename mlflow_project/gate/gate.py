"""One gate: fetch a registered version, judge it, decide, attest, tag it, and move an alias last.

Whatever happens before the alias leaves the registry without a promotion, so a gate that dies is a
gate that blocks; the same command goes on from the results that were kept.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient

from mlflow_project import connection, github, tracking
from mlflow_project.alias_names import require_alias
from mlflow_project.commands import (
    ScanCall,
    judge,
    localise,
    origin_of,
    outcome_of,
    workspace,
    write_evidence,
)
from mlflow_project.errors import RegistryError, TrackingError
from mlflow_project.gate.marking import mark
from mlflow_project.gate.statement import (
    claim_of,
    facts_of,
    given_digest,
    provenance_of,
    tags_of,
)
from mlflow_project.output_files import prepare_output
from mlflow_project.registry import alias, beforehand, versions
from mlflow_project.registry.recorded import ATTESTATION_FILE, VERSION_TAG, version_mark
from mlflow_project.registry.versions import Downloaded, ModelVersion
from pipeline.ci_formats.all_files import output_texts
from pipeline.config import ScanConfig
from pipeline.evidence import ScanResult
from pipeline.gate.attestation import Attestation, Claim, attest
from pipeline.gate.attestation import verify as verify_envelope
from pipeline.gate.decision import GateDecision, decide
from pipeline.gate.keys import PublicKey, Signer
from pipeline.gate.policy import Policy, policy_text
from pipeline.gate.provenance import Provenance
from pipeline.gate.verification import Verification, trusted_keys, verify_version
from pipeline.report.html_page import REPORT_FILE, GateSection, render
from pipeline.report.verdict_json import summary, suspected_name, write_verdict
from pipeline.scan import choose_device

POLICY_FILE = "policy.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GateCall:
    """One call of `gate`: the scan of a registered version, and what its verdict shall decide.

    `promote` is the alias that a pass moves to the version. A `dry_run` changes nothing in the
    registry.
    """

    scan: ScanCall
    policy: Policy
    key: Signer
    promote: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class GateOutcome:
    """The verdict, the decision and what became of the alias.

    `objections` are why a version that passed was not promoted; `page` is the report as HTML.
    """

    version: ModelVersion
    result: ScanResult
    decision: GateDecision
    claim: Claim
    dry_run: bool
    promotion: alias.Promotion | None = None
    objections: tuple[str, ...] = ()
    page: str = ""

    @property
    def passed(self) -> bool:
        """Whether the version passed, and holds the alias if one was to be moved."""
        return self.decision.action == "pass" and not self.objections


def gate(call: GateCall) -> GateOutcome:
    """Judges a registered version, records why, tags it, and promotes it if it passes.

    Raises:
        ConfigError: the URI names no registered version, or a setting is wrong.
        ModelRefused: the version's files are where none are fetched from.
        TrackingError: the run could not be opened or recorded.
        RegistryError: the registry failed; the verdict is kept.
    """
    scan = call.scan
    target, version = _prepared(call)
    with (
        tracking.open_run(version.uri, target),
        workspace() as downloads,
        workspace() as place,
    ):
        # what cannot be written is known before the scan
        tracking.note({POLICY_FILE: policy_text(call.policy)}, {})
        files = versions.download(version, downloads / "version")
        judged = _judged(call, version, files, downloads, place)
        try:
            return _published(call, version, files, judged, downloads)
        except (TrackingError, RegistryError) as error:
            kept = f"{error}; {_kept(judged.result, scan.output)}"
            raise type(error)(kept, outage=error.outage) from error


def _prepared(call: GateCall) -> tuple[connection.Target, ModelVersion]:
    """Where the run goes, and the version, once nothing is known that would stop the gate later."""
    scan = call.scan
    if call.promote is not None:
        require_alias(call.promote)
    choose_device(scan.config.device)
    if scan.output:
        prepare_output(scan.output)
    github.require_writable(scan.environment)
    target = scan.target or connection.Target()
    connection.connect(target)
    version = versions.find_version(MlflowClient(), scan.model)
    beforehand.require_writable(MlflowClient(), version.name)
    return target, version


def verify(uri: str, policy: Policy, keys: tuple[PublicKey, ...]) -> Verification:
    """Whether a registered version may be promoted now, by its attestation and its current files.

    Raises:
        ConfigError: the URI names no registered version.
        RegistryError: it is not there, or cannot be fetched.
    """
    version = versions.find_version(MlflowClient(), uri)
    with workspace() as folder:
        return versions.verify(version, policy, keys, datetime.now(UTC), folder)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A scan of a version, and how its verdict came about."""

    result: ScanResult
    provenance: Provenance


def _judged(
    call: GateCall, version: ModelVersion, files: Downloaded, downloads: Path, place: Path
) -> _Judged:
    """The scan of the files, with the earlier versions as references; written to the output."""
    scan = replace(call.scan, model=str(files.folder), uri=version.uri, config=_config(call))
    request = localise(scan, downloads)
    accepted = versions.accepted_before(
        MlflowClient(),
        version,
        call.policy,
        _keys(call),
        datetime.now(UTC),
        downloads / "earlier",
    )
    given = [given_digest(each) for each in request.references]
    earlier = {str(folder): uri for uri, folder in accepted.items()}
    references = (*request.references, *earlier)
    request = replace(
        request,
        references=references,
        names={**request.names, **earlier},
        registered=True,
        accepted_files=call.policy.accepted_files,
    )
    result = judge(request, place, fresh=call.scan.fresh, ray=call.scan.ray)
    logger.info("judged: %s", summary(result))
    if call.scan.output:
        write_verdict(result, call.scan.output)
    return _Judged(result=result, provenance=provenance_of(result, given))


def _published(
    call: GateCall, version: ModelVersion, files: Downloaded, judged: _Judged, downloads: Path
) -> GateOutcome:
    """Decides, then leaves the evidence in the run, the tags on the version, and the alias."""
    now, result, scan = datetime.now(UTC), judged.result, replace(call.scan, uri=version.uri)
    facts = facts_of(version, result, judged.provenance)
    decision = decide(facts, call.policy, now)
    claim = claim_of(facts, result, decision, call.policy, now, rehearsal=call.dry_run)
    envelope = attest(Attestation(claim=claim, files=files.files), call.key)
    section, ci_outcome = _section(call, claim, envelope), outcome_of(result, call.scan, decision)
    texts = {
        REPORT_FILE: render(result, section, origin_of(result, scan)),
        ATTESTATION_FILE: envelope,
        POLICY_FILE: policy_text(call.policy),
    }
    ci_texts = output_texts(ci_outcome)
    if call.scan.output:
        write_evidence(result, {**texts, **ci_texts}, call.scan.output)
    github.announce(ci_outcome, call.scan.environment)
    run_tags = {**tags_of(claim), VERSION_TAG: version_mark(version.name, version.version)}
    if call.dry_run:
        run_tags["ban.dry_run"] = "true"
    tracking.log_texts(ci_texts)
    tracking.record(result, call.scan.samples, texts=texts, tags=run_tags)
    outcome = GateOutcome(
        version=version,
        result=result,
        decision=decision,
        claim=claim,
        dry_run=call.dry_run,
        page=texts[REPORT_FILE],
    )
    if call.dry_run:
        return _foreseen(call, outcome)
    mark(version, claim, envelope, suspected_name(result))
    if version.model_id:
        tracking.log_model_metrics(result, version.model_id)
    return _promoted(call, outcome, downloads)


def _section(call: GateCall, claim: Claim, envelope: str) -> GateSection:
    """The decision as the report shows it."""
    return GateSection(
        version=f"{claim.model}, version {claim.version}",
        decision=claim.action,
        reasons=claim.reasons,
        policy=f"sha256 {claim.policy_digest}",
        alias=call.promote,
        attestation=verify_envelope(envelope, [call.key.public_key]).digest,
    )


def _promoted(call: GateCall, outcome: GateOutcome, downloads: Path) -> GateOutcome:
    """Moves the alias if the version passed, after verifying its tags and files once more."""
    version, client = outcome.version, MlflowClient()
    if not call.promote or not outcome.passed:
        return outcome
    current = versions.find_version(client, version.uri)
    files = versions.download(current, downloads / "again").files
    facts = versions.facts_of(current, files)
    verification = verify_version(facts, call.policy, _keys(call), datetime.now(UTC))
    if not verification.valid:
        return replace(outcome, objections=verification.reasons)
    promotion = alias.promote(client, version.name, version.version, call.promote)
    return replace(outcome, promotion=promotion, objections=_overtaken(promotion))


def _foreseen(call: GateCall, outcome: GateOutcome) -> GateOutcome:
    """The outcome with the promotion that would follow; nothing is moved."""
    if not call.promote or not outcome.passed:
        return outcome
    version = outcome.version
    promotion = alias.foresee(MlflowClient(), version.name, version.version, call.promote)
    return replace(outcome, promotion=promotion, objections=_overtaken(promotion))


def _overtaken(promotion: alias.Promotion) -> tuple[str, ...]:
    if promotion.moved:
        return ()
    newer = promotion.overtaken_by
    return (f"overtaken by version {newer}, which holds the alias `{promotion.alias}`",)


def _config(call: GateCall) -> ScanConfig:
    """The scan's settings, with the policy's false-alarm rate if it has one."""
    config, rate = call.scan.config, call.policy.false_alarm_rate
    if rate is None:
        return config
    return replace(config, judge=replace(config.judge, false_alarm_rate=rate))


def _keys(call: GateCall) -> tuple[PublicKey, ...]:
    return trusted_keys(call.policy, call.key.public_key)


def _kept(result: ScanResult, output: Path | None) -> str:
    """Where the verdict is, for whoever reads that the server failed."""
    where = f"in `{output}`" if output else "in the store of results"
    return (
        f"nothing was promoted; the verdict `{result.verdict.label}` is kept {where}, so run the"
        " same command again when the server answers, which takes seconds"
    )
