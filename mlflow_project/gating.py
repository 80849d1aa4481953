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

from mlflow_project import alias, ci, registry, track
from mlflow_project.card import with_card
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
from mlflow_project.registry import Downloaded, ModelVersion
from mlflow_project.standing import ATTESTATION_TAG, Standing, standing, trusted_keys
from pipeline.attestation import Attestation, Claim, attest
from pipeline.config import ScanConfig
from pipeline.gate import GateDecision, ScanFacts, decide
from pipeline.html_report import REPORT_FILE, GateSection, render
from pipeline.outputs import output_texts
from pipeline.policy import Policy, policy_digest, policy_text
from pipeline.printable import printable
from pipeline.report import summary, write_verdict
from pipeline.result import ScanResult
from pipeline.scan import choose_device
from pipeline.signing import PrivateKey, PublicKey
from stages.errors import ModelRefused

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
    """What a gate found and did; `objections` are why a version that passed was not promoted."""

    version: ModelVersion
    result: ScanResult
    decision: GateDecision
    claim: Claim
    dry_run: bool
    promotion: alias.Promotion | None = None
    objections: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything that was asked for is so."""
        return self.decision.action == "pass" and not self.objections


def gate(call: GateCall) -> GateOutcome:
    """Judges a registered version, records why, tags it, and promotes it if it passes.

    Raises:
        ConfigError: the URI names no registered version, or a setting is wrong.
        ModelRefused: the version's files are no model of MLflow.
        TrackingError: the run could not be opened or recorded.
        RegistryError: the registry failed; what was found is kept.
    """
    scan = call.scan
    choose_device(scan.config.device)
    if scan.output:
        prepare_output(scan.output)
    ci.require_writable(scan.environment)
    target = scan.target or track.Target()
    track.connect(target)
    version = registry.find_version(MlflowClient(), scan.model)
    with (
        track.open_run(version.uri, target),
        workspace() as downloads,
        workspace() as place,
    ):
        found = registry.download(version, downloads / "version")
        result = _judged(call, version, found, downloads, place)
        try:
            return _published(call, version, found, result, downloads)
        except (TrackingError, RegistryError) as error:
            raise type(error)(f"{error}; {_kept(result, scan.output)}") from error


def standing_now(uri: str, policy: Policy, keys: tuple[PublicKey, ...]) -> Standing:
    """The standing of a registered version, with its files fetched now.

    Raises:
        ConfigError: the URI names no registered version.
        RegistryError: it is not there, or cannot be fetched.
    """
    version = registry.find_version(MlflowClient(), uri)
    with workspace() as folder:
        return registry.standing_of(version, policy, keys, datetime.now(UTC), folder)


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
    """Returns an alias to its previous version if that is in good standing, or if it is forced.

    Raises:
        RegistryError: there is no such model, or the server does not answer.
    """
    client, now = MlflowClient(), datetime.now(UTC)
    before = alias.previous(client, name, alias_name)
    if before is None:
        note = f"`{alias.PREVIOUS_TAG}{alias_name}`"
        return _refused(f"no earlier holder of `{alias_name}` is noted in {note} of `{name}`")
    version = registry.existing_version(client, name, before)
    if version is None:
        return _refused(f"version {before} of `{name}` does not exist any more")
    with workspace() as folder:
        told = registry.standing_of(version, policy, keys, now, folder)
    if not told.valid and not forced:
        return _refused(
            f"version {before} of `{name}` is in no good standing: {'; '.join(told.reasons)}; gate"
            " it again, or use --force with a --reason"
        )
    moved = alias.roll_back(client, name, before, alias_name, reason, now)
    line = f"returned  {name}  {alias_name}: {moved.previous} → {before}"
    return Rollback(returned=True, line=line)


def _refused(why: str) -> Rollback:
    return Rollback(returned=False, line=f"refused   {why}")


def _judged(
    call: GateCall, version: ModelVersion, found: Downloaded, downloads: Path, place: Path
) -> ScanResult:
    """The scan of the files, beside the earlier versions that may vouch; written to the output."""
    if not (found.folder / "MLmodel").is_file():
        raise ModelRefused(
            f"the files of `{version.uri}` hold no `MLmodel`, expected a model that MLflow logged;"
            " log it with MLflow and register it again"
        )
    accepted = registry.accepted_before(
        MlflowClient(),
        version,
        call.policy,
        _keys(call),
        datetime.now(UTC),
        downloads / "earlier",
    )
    named = replace(call.scan, model=str(found.folder), uri=version.uri, config=_config(call))
    request = localise(named, downloads)
    earlier = {str(folder): uri for uri, folder in accepted.items()}
    references = (*request.references, *earlier)
    request = replace(request, references=references, names={**request.names, **earlier})
    result = judge(request, call.scan.fresh, place)
    logger.info("judged: %s", summary(result))
    if call.scan.output:
        write_verdict(result, call.scan.output)
    return result


def _published(
    call: GateCall, version: ModelVersion, found: Downloaded, result: ScanResult, downloads: Path
) -> GateOutcome:
    """Decides, then leaves the evidence in the run, the tags on the version, and the alias."""
    now = datetime.now(UTC)
    decision = decide(_facts(version, result), call.policy, now)
    claim = _claim(version, result, decision, call.policy, now)
    envelope = attest(Attestation(claim=claim, files=found.files), call.key)
    section, told = _section(call, claim, envelope), outcome_of(result, call.scan, decision)
    texts = {
        REPORT_FILE: render(result, section),
        ATTESTATION_FILE: envelope,
        POLICY_FILE: policy_text(call.policy),
    }
    for_ci = output_texts(told)
    if call.scan.output:
        write_evidence(result, {**texts, **for_ci}, call.scan.output)
    ci.announce(told, call.scan.environment)
    tags = _tags(claim)
    marks = {**tags, "ban.dry_run": "true"} if call.dry_run else tags
    track.log_texts(for_ci)
    track.record(result, call.scan.samples, texts=texts, tags=marks)
    outcome = GateOutcome(
        version=version, result=result, decision=decision, claim=claim, dry_run=call.dry_run
    )
    if call.dry_run:
        return _foreseen(call, outcome)
    _mark(version, {**tags, ATTESTATION_TAG: envelope}, claim)
    if version.model_id:
        track.log_model_metrics(result, version.model_id)
    return _promoted(call, outcome, downloads)


def _section(call: GateCall, claim: Claim, envelope: str) -> GateSection:
    """The decision as the report tells it."""
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
    with registry.explained(f"cannot tag `{version.uri}`"):
        client.update_model_version(
            version.name, str(version.version), with_card(version.description, claim)
        )
        for key in set(_TAGS) & set(version.tags) - set(tags):
            client.delete_model_version_tag(version.name, str(version.version), key)
        for key, value in tags.items():
            client.set_model_version_tag(version.name, str(version.version), key, value)


def _promoted(call: GateCall, outcome: GateOutcome, downloads: Path) -> GateOutcome:
    """Moves the alias if all is well, after looking at tags and files once more."""
    version, client = outcome.version, MlflowClient()
    if not call.promote or not outcome.passed:
        return outcome
    current = registry.find_version(client, version.uri)
    files = registry.download(current, downloads / "again").files
    facts = registry.facts_of(current, files)
    told = standing(facts, call.policy, [call.key.public_key()], datetime.now(UTC))
    if not told.valid:
        return replace(outcome, objections=told.reasons)
    moved = alias.promote(client, version.name, version.version, call.promote)
    return replace(outcome, promotion=moved, objections=_overtaken(moved))


def _foreseen(call: GateCall, outcome: GateOutcome) -> GateOutcome:
    if not call.promote or not outcome.passed:
        return outcome
    version = outcome.version
    would = alias.foresee(MlflowClient(), version.name, version.version, call.promote)
    return replace(outcome, promotion=would, objections=_overtaken(would))


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
    artifact = result.evidence.artifact
    return ScanFacts(
        model=version.name,
        version=version.version,
        verdict=result.verdict.label,
        p_value=result.verdict.p_value,
        content_digest=artifact.content_digest if artifact else None,
    )


def _claim(
    version: ModelVersion,
    result: ScanResult,
    decision: GateDecision,
    policy: Policy,
    now: datetime,
) -> Claim:
    verdict, evidence = result.verdict, result.evidence
    reasons = (printable(each)[: track.LONGEST_TAG] for each in _reasons(result, decision))
    return Claim(
        model=version.name,
        version=version.version,
        verdict=verdict.label,
        action=decision.action,
        outcome=decision.outcome,
        reasons=tuple(reasons),
        policy_digest=policy_digest(policy),
        run_id=track.open_run_id(),
        time=now.isoformat(timespec="seconds"),
        p_value=verdict.p_value,
        score=verdict.score,
        suspected_class=verdict.suspected_class,
        content_digest=evidence.artifact.content_digest if evidence.artifact else None,
        samples_digest=evidence.samples.digest if evidence.samples else None,
        waiver=str(decision.waiver) if decision.waiver else None,
        references=tuple(f"{one.uri} sha256:{one.digest}" for one in evidence.references),
    )


def _reasons(result: ScanResult, decision: GateDecision) -> tuple[str, ...]:
    """Why the gate decides so, then why the verdict is what it is."""
    return (*decision.reasons, *(" ".join(each.split()) for each in result.verdict.reasons))


_TAGS = {
    "ban.verdict": "verdict",
    "ban.gate": "action",
    "ban.digest": "content_digest",
    "ban.run_id": "run_id",
    "ban.p_value": "p_value",
    "ban.score": "score",
    "ban.suspected_class": "suspected_class",
    "ban.policy": "policy_digest",
    "ban.waiver": "waiver",
    "ban.gated_at": "time",
}
"""Tags of a version, each from one field of the claim; what is not known has no tag."""


def _tags(claim: Claim) -> dict[str, str]:
    found = {key: getattr(claim, name) for key, name in _TAGS.items()}
    tags = {key: printable(str(value)) for key, value in found.items() if value is not None}
    return {**tags, "ban.reason": "; ".join(claim.reasons)[: track.LONGEST_TAG]}


def _kept(result: ScanResult, output: Path | None) -> str:
    where = f"in `{output}`" if output else "in the store of results"
    return (
        f"nothing was promoted; the verdict `{result.verdict.label}` is kept {where}, so run the"
        " same command again when the server answers, which takes seconds"
    )
