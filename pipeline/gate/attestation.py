"""A gate's decision as a signed statement about the files it judged.

An in-toto Statement with the predicate `test-result`, in a DSSE envelope. What in-toto has no field
for is in the predicate's extension `ban_gate`.

Source: https://github.com/in-toto/attestation, spec/v1 and spec/predicates/test-result.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped] # has no types
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
from in_toto_attestation.v1.statement import STATEMENT_TYPE_URI, Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

from pipeline.file_digest import file_digest
from pipeline.gate import signing
from pipeline.gate.decision import Action, Outcome
from pipeline.gate.keys import PublicKey, Signer
from pipeline.gate.provenance import Provenance
from pipeline.structure import structured
from stages.errors import AttestationError, ConfigError
from stages.verdict_label import Label

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
EXTENSION = "ban_gate"
SCHEMA = 2
"""The form of the extension; 1 did not say how the verdict came about."""
CONTENT = "onnx content"
CONTENT_ALGORITHM = "banGateContentV1"
SETTINGS_ALGORITHM = "banGateSettingsV1"
"""These digests are not the sha256 of a file's bytes, so their algorithms have names of their own.
"""
ALL_FILES = "all files"
FILES_ALGORITHM = "banGateFilesV1"
"""The one subject, and its digest, of an attestation about more files than there is room to name.
"""
OF_COPIES = ("judged_at", "copied_from")
"""Fields of a claim that only a copy states."""
LARGEST = 100_000
"""Characters of the longest attestation: as many as a tag of MLflow holds."""

_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a gate states about one version of a registered model, and how it came to that.

    `time` is when it was decided, ISO 8601 with its offset; digests are sha256 in hexadecimal.
    `judged` is the path of the model in the version's files, and `unexplained` and `accepted_files`
    are as in `ScanFacts`. A `rehearsal` is the decision of a dry run, which counts for nothing;
    `revoked` is why an earlier decision was taken back. A copy of a version that passed elsewhere
    says when that was judged, `judged_at`, and what it is a copy of: a URI, and the sha256 of the
    attestation it had.
    """

    model: str
    version: int
    verdict: Label
    action: Action
    outcome: Outcome
    reasons: tuple[str, ...]
    policy_digest: str
    run_id: str
    time: str
    provenance: Provenance
    anomaly_score: float | None = None
    critical_value: float | None = None
    p_value: float | None = None
    p_is_bound: bool = False
    outside: str = ""
    unscanned: tuple[str, ...] = ()
    judged: str | None = None
    unexplained: tuple[str, ...] = ()
    accepted_files: tuple[str, ...] = ()
    suspected_class: int | None = None
    content_digest: str | None = None
    waiver: str | None = None
    rehearsal: bool = False
    revoked: str = ""
    judged_at: str | None = None
    copied_from: str | None = None

    @property
    def judged_moment(self) -> datetime:
        """When the model was judged: for a copy, when the version it was made from was."""
        return datetime.fromisoformat(self.judged_at or self.time)

    @property
    def decided(self) -> datetime:
        """`time` as a moment."""
        return datetime.fromisoformat(self.time)


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """A claim, and the sha256 of every file it is about, by path in the model's folder.

    One that was read and had no room to name them has the `files_digest` of them all instead.
    """

    claim: Claim
    files: Mapping[str, str]
    files_digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Signed:
    """An attestation that was read from an envelope.

    `digest` is the sha256 of what was signed, however the envelope around it is written; `signers`
    are the ids of the trusted keys that have signed it.
    """

    attestation: Attestation
    digest: str
    signers: frozenset[str]

    @property
    def claim(self) -> Claim:
        """What it states."""
        return self.attestation.claim


def attest(attestation: Attestation, key: Signer) -> str:
    """The attestation, signed: a DSSE envelope as JSON, which names each file if there is room.

    Raises:
        AttestationError: it is longer than a tag can hold, or the key does not sign.
    """
    named = _sealed(_statement(attestation), key)
    if len(named) < LARGEST:
        return named
    together = replace(attestation, files={}, files_digest=files_digest(attestation.files))
    envelope = _sealed(_statement(together), key)
    if len(envelope) >= LARGEST:
        raise AttestationError(
            f"the attestation takes {len(envelope)} characters, expected fewer than {LARGEST};"
            " gate the version with fewer references, or under a shorter name"
        )
    return envelope


def verify(envelope: str, keys: Sequence[PublicKey]) -> Signed:
    """The attestation in an envelope that one of the trusted keys has signed.

    Raises:
        AttestationError: it is not signed by any of them, is not an attestation of a gate, or has
            another form than this version of ban-gate writes.
    """
    opened = signing.unseal(envelope, PAYLOAD_TYPE, keys)
    try:
        statement = json.loads(opened.payload)
        _require_statement(statement)
        _require_schema(statement["predicate"][EXTENSION].pop("schema", 1))
        return Signed(
            attestation=_attestation(statement),
            digest=hashlib.sha256(opened.payload).hexdigest(),
            signers=opened.signers,
        )
    except (*_MALFORMED, json_format.ParseError, ConfigError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AttestationError(
            f"the attestation is signed, but is no statement of a gate ({reason[:200]}); gate the"
            " model again with this version of ban-gate"
        ) from error


def file_digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file in a folder, by its path there with `/` between the parts."""
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


def files_digest(files: Mapping[str, str]) -> str:
    """The sha256 of the paths and digests of all files, in the order of their paths."""
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()


def _sealed(statement: dict[str, object], key: Signer) -> str:
    _require_statement(statement)
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    return signing.seal(payload, PAYLOAD_TYPE, key)


def _statement(attestation: Attestation) -> dict[str, object]:
    claim = {
        name: each
        for name, each in asdict(attestation.claim).items()
        if each is not None or name not in OF_COPIES
    }
    if not attestation.claim.provenance.unfinished:  # as before there were scans that end early
        del claim["provenance"]["unfinished"]
    files = sorted(attestation.files.items())
    subjects = [{"name": name, "digest": {"sha256": digest}} for name, digest in files]
    if attestation.files_digest:
        digest = {FILES_ALGORITHM: attestation.files_digest}
        subjects.append({"name": ALL_FILES, "digest": digest})
    if claim["content_digest"]:
        digest = {CONTENT_ALGORITHM: claim["content_digest"]}
        subjects.append({"name": CONTENT, "digest": digest})
    policy = {"name": "policy", "digest": {"sha256": claim["policy_digest"]}}
    settings_digest = claim["provenance"]["settings_digest"]
    settings = {"name": "settings", "digest": {SETTINGS_ALGORITHM: settings_digest}}
    return {
        "_type": STATEMENT_TYPE_URI,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": claim.pop("outcome"),
            "configuration": [policy, settings],
            EXTENSION: {"schema": SCHEMA, **claim},
        },
    }


def _require_statement(statement: Mapping[str, object]) -> None:
    """Raises unless in-toto's own library accepts the statement as a test result."""
    message = json_format.ParseDict(statement, StatementMessage())
    Statement.copy_from_pb(message).validate()
    if message.predicate_type != PREDICATE_TYPE:
        raise ValueError(f"predicate type {message.predicate_type!r}, expected {PREDICATE_TYPE!r}")
    json_format.ParseDict(statement["predicate"], TestResult(), ignore_unknown_fields=True)


def _require_schema(found: object) -> None:
    if found == SCHEMA:
        return
    age = "an older" if type(found) is int and found < SCHEMA else "another"
    raise AttestationError(
        f"the attestation has expired: it was made by {age} version of ban-gate (form"
        f" {str(found)[:20]}, expected {SCHEMA}); gate the version again"
    )


def _attestation(statement: Mapping[str, Any]) -> Attestation:
    predicate, subjects = statement["predicate"], statement["subject"]
    claim = structured({**predicate[EXTENSION], "outcome": predicate["result"]}, Claim)
    if claim.decided.tzinfo is None:
        raise ValueError("its time has no offset")
    files = {
        each["name"]: each["digest"]["sha256"] for each in subjects if "sha256" in each["digest"]
    }
    together = [
        each["digest"][FILES_ALGORITHM] for each in subjects if FILES_ALGORITHM in each["digest"]
    ]
    return Attestation(claim=claim, files=files, files_digest=together[0] if together else None)
