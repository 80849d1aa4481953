"""One gate: fetch a registered version, judge it, decide, attest, tag it, and move an alias last.

Whatever happens before the alias leaves the registry without a promotion, so a gate that dies is a
gate that blocks; the same command goes on from the results that were kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient

from mlflow_project import github, tracking
from mlflow_project.commands import (
    ScanCall,
    judge,
    localise,
    outcome_of,
    prepare_output,
    workspace,
    write_evidence,
)
from mlflow_project.errors import RegistryError, TrackingError
from mlflow_project.gate.card import with_card
from mlflow_project.registry import alias, versions
from mlflow_project.registry.versions import Downloaded, ModelVersion
from pipeline.ci_formats.all_files import output_texts
from pipeline.config import ScanConfig
from pipeline.evidence import ScanResult
from pipeline.gate.attestation import Attestation, Claim, attest
from pipeline.gate.decision import GateDecision, ScanFacts, decide
from pipeline.gate.policy import Policy, policy_digest, policy_text
from pipeline.gate.signing import PrivateKey, PublicKey
from pipeline.gate.verification import ATTESTATION_TAG, Verification, trusted_keys, verify_version
from pipeline.printable import printable
from pipeline.report.html_page import REPORT_FILE, GateSection, render
from pipeline.report.verdict_json import summary, write_verdict
from pipeline.report.wording import p_text
from pipeline.scan import choose_device

ATTESTATION_FILE = "attestation.json"
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
    key: PrivateKey
    promote: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class GateOutcome:
    """The verdict, the decision and what became of the alias.

    `objections` are why a version that passed was not promoted.
    """

    version: ModelVersion
    result: ScanResult
    decision: GateDecision
    claim: Claim
    dry_run: bool
    promotion: alias.Promotion | None = None
    objections: tuple[str, ...] = ()

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
    choose_device(scan.config.device)
    if scan.output:
        prepare_output(scan.output)
    github.require_writable(scan.environment)
    target = scan.target or tracking.Target()
    tracking.connect(target)
    version = versions.find_version(MlflowClient(), scan.model)
    with (
        tracking.open_run(version.uri, target),
        workspace() as downloads,
        workspace() as place,
    ):
        files = versions.download(version, downloads / "version")
        result = _judged(call, version, files, downloads, place)
        try:
            return _published(call, version, files, result, downloads)
        except (TrackingError, RegistryError) as error:
            raise type(error)(f"{error}; {_kept(result, scan.output)}") from error


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
class Rollback:
    """Whether an alias was returned to an earlier version, and a line that says so or why not."""

    returned: bool
    line: str


def roll_back(
    name: str,
    alias_name: str,
    policy: Policy,
    keys: tuple[PublicKey, ...],
    *,
    forced: bool,
    reason: str,
) -> Rollback:
    """Returns an alias to its previous version if that passes verification, or if it is forced.

    Raises:
        RegistryError: there is no such model, or the server does not answer.
    """
    client, now = MlflowClient(), datetime.now(UTC)
    before = alias.previous(client, name, alias_name)
    if before is None:
        note = f"`{alias.PREVIOUS_TAG}{alias_name}`"
        return _refused(f"no earlier holder of `{alias_name}` is noted in {note} of `{name}`")
    version = versions.existing_version(client, name, before)
    if version is None:
        return _refused(f"version {before} of `{name}` does not exist any more")
    with workspace() as folder:
        verification = versions.verify(version, policy, keys, now, folder)
    if not verification.valid and not forced:
        return _refused(
            f"version {before} of `{name}` does not pass verification:"
            f" {'; '.join(verification.reasons)}; gate it again, or use --force with a --reason"
        )
    promotion = alias.roll_back(client, name, before, alias_name, reason, now)
    line = f"returned  {name}  {alias_name}: {promotion.previous} → {before}"
    return Rollback(returned=True, line=line)


def _refused(why: str) -> Rollback:
    return Rollback(returned=False, line=f"refused   {why}")


def _judged(
    call: GateCall, version: ModelVersion, files: Downloaded, downloads: Path, place: Path
) -> ScanResult:
    """The scan of the files, with the earlier versions as references; written to the output."""
    accepted = versions.accepted_before(
        MlflowClient(),
        version,
        call.policy,
        _keys(call),
        datetime.now(UTC),
        downloads / "earlier",
    )
    scan = replace(call.scan, model=str(files.folder), uri=version.uri, config=_config(call))
    request = localise(scan, downloads)
    earlier = {str(folder): uri for uri, folder in accepted.items()}
    references = (*request.references, *earlier)
    request = replace(
        request,
        references=references,
        names={**request.names, **earlier},
        registered=True,
        accepted_files=call.policy.accepted_files,
    )
    result = judge(request, call.scan.fresh, place)
    logger.info("judged: %s", summary(result))
    if call.scan.output:
        write_verdict(result, call.scan.output)
    return result


def _published(
    call: GateCall, version: ModelVersion, files: Downloaded, result: ScanResult, downloads: Path
) -> GateOutcome:
    """Decides, then leaves the evidence in the run, the tags on the version, and the alias."""
    now = datetime.now(UTC)
    decision = decide(_facts(version, result), call.policy, now)
    claim = _claim(version, result, decision, call.policy, now)
    envelope = attest(Attestation(claim=claim, files=files.files), call.key)
    section, ci_outcome = _section(call, claim, envelope), outcome_of(result, call.scan, decision)
    texts = {
        REPORT_FILE: render(result, section),
        ATTESTATION_FILE: envelope,
        POLICY_FILE: policy_text(call.policy),
    }
    ci_texts = output_texts(ci_outcome)
    if call.scan.output:
        write_evidence(result, {**texts, **ci_texts}, call.scan.output)
    github.announce(ci_outcome, call.scan.environment)
    tags = _tags(claim)
    run_tags = {**tags, "ban.dry_run": "true"} if call.dry_run else tags
    tracking.log_texts(ci_texts)
    tracking.record(result, call.scan.samples, texts=texts, tags=run_tags)
    outcome = GateOutcome(
        version=version, result=result, decision=decision, claim=claim, dry_run=call.dry_run
    )
    if call.dry_run:
        return _foreseen(call, outcome)
    _mark(version, {**tags, ATTESTATION_TAG: envelope}, claim)
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
        attestation=hashlib.sha256(envelope.encode()).hexdigest(),
    )


def _mark(version: ModelVersion, tags: Mapping[str, str], claim: Claim) -> None:
    """Puts the card and the tags on the version, the attestation last, then drops stale tags."""
    client = MlflowClient()
    with versions.explained(f"cannot tag `{version.uri}`"):
        client.update_model_version(
            version.name, str(version.version), with_card(version.description, claim)
        )
        for key in {*_TAGS, *FORMER_TAGS} & set(version.tags) - set(tags):
            client.delete_model_version_tag(version.name, str(version.version), key)
        for key, value in tags.items():
            client.set_model_version_tag(version.name, str(version.version), key, value)


def _promoted(call: GateCall, outcome: GateOutcome, downloads: Path) -> GateOutcome:
    """Moves the alias if the version passed, after verifying its tags and files once more."""
    version, client = outcome.version, MlflowClient()
    if not call.promote or not outcome.passed:
        return outcome
    current = versions.find_version(client, version.uri)
    files = versions.download(current, downloads / "again").files
    facts = versions.facts_of(current, files)
    verification = verify_version(facts, call.policy, [call.key.public_key()], datetime.now(UTC))
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
    return trusted_keys(call.policy, call.key.public_key())


def _facts(version: ModelVersion, result: ScanResult) -> ScanFacts:
    artifact, judged = result.evidence.artifact, result.evidence.judged
    return ScanFacts(
        model=version.name,
        version=version.version,
        verdict=result.verdict.label,
        p_value=result.verdict.p_value,
        p_is_bound=result.verdict.p_is_bound,
        outside=result.verdict.outside,
        unscanned=artifact.unscanned if artifact else (),
        unexplained=judged.unexplained if judged else (),
        accepted_files=judged.accepted_files if judged else (),
        content_digest=artifact.content_digest if artifact else None,
    )


def _claim(
    version: ModelVersion,
    result: ScanResult,
    decision: GateDecision,
    policy: Policy,
    now: datetime,
) -> Claim:
    verdict, evidence, judged = result.verdict, result.evidence, result.evidence.judged
    reasons = (printable(each)[: tracking.LONGEST_TAG] for each in _reasons(result, decision))
    return Claim(
        model=version.name,
        version=version.version,
        verdict=verdict.label,
        action=decision.action,
        outcome=decision.outcome,
        reasons=tuple(reasons),
        policy_digest=policy_digest(policy),
        run_id=tracking.open_run_id(),
        time=now.isoformat(timespec="seconds"),
        anomaly_score=verdict.anomaly_score,
        critical_value=verdict.critical_value,
        p_value=verdict.p_value,
        p_is_bound=verdict.p_is_bound,
        outside=verdict.outside,
        unscanned=evidence.artifact.unscanned if evidence.artifact else (),
        judged=judged.name if judged else None,
        unexplained=judged.unexplained if judged else (),
        accepted_files=judged.accepted_files if judged else (),
        suspected_class=verdict.suspected_class,
        content_digest=evidence.artifact.content_digest if evidence.artifact else None,
        samples_digest=evidence.samples.digest if evidence.samples else None,
        waiver=str(decision.waiver) if decision.waiver else None,
        references=tuple(f"{each.uri} sha256:{each.digest}" for each in evidence.references),
    )


def _reasons(result: ScanResult, decision: GateDecision) -> tuple[str, ...]:
    """Why the gate decides so, then why the verdict is what it is."""
    return (*decision.reasons, *(" ".join(each.split()) for each in result.verdict.reasons))


_TAGS = {
    "ban.verdict": "verdict",
    "ban.gate": "action",
    "ban.digest": "content_digest",
    "ban.judged": "judged",
    "ban.run_id": "run_id",
    "ban.anomaly_score": "anomaly_score",
    "ban.critical_value": "critical_value",
    "ban.suspected_class": "suspected_class",
    "ban.policy": "policy_digest",
    "ban.waiver": "waiver",
    "ban.gated_at": "time",
}
"""Tags of a version, each from one field of the claim; a field that is None has no tag."""
FORMER_TAGS = ("ban.p_value", "ban.score")
"""Tags that a version may have from an earlier gate, also from an earlier release."""


def _tags(claim: Claim) -> dict[str, str]:
    values = {key: getattr(claim, name) for key, name in _TAGS.items()}
    tags = {key: printable(str(value)) for key, value in values.items() if value is not None}
    if claim.p_value is not None:
        tags["ban.p_value"] = p_text(claim.p_value, claim.p_is_bound)
    return {**tags, "ban.reason": "; ".join(claim.reasons)[: tracking.LONGEST_TAG]}


def _kept(result: ScanResult, output: Path | None) -> str:
    """Where the verdict is, for whoever reads that the server failed."""
    where = f"in `{output}`" if output else "in the store of results"
    return (
        f"nothing was promoted; the verdict `{result.verdict.label}` is kept {where}, so run the"
        " same command again when the server answers, which takes seconds"
    )
