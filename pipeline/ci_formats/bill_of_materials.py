"""The judged model as a CycloneDX bill of materials, with a model card and the verdict as a claim.

The library writes what it knows of CycloneDX 1.6; it knows neither `modelCard` nor `declarations`
yet, so these two are added to its JSON.

Source: CycloneDX 1.6, ECMA-424.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote
from uuid import NAMESPACE_URL, UUID, uuid5

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6

from pipeline.ci_formats.checks import ADVICE, Outcome, one_line
from pipeline.report.verdict_json import suspected_name
from stages.types import OnnxArtifact
from stages.verdict_label import Label

BOM_FILE = "bom.cdx.json"
MODEL_REF, CLAIM_REF, EVIDENCE_REF, ASSESSOR_REF = "model", "claim", "evidence", "assessor"
CLAIM = "ban-gate's tests find no backdoor in this model at the stated false-alarm rate"

Object = dict[str, object]


def bom_text(outcome: Outcome) -> str:
    """The JSON of a bill with one component, the ONNX model that was judged.

    The claim is attested if the model is clean, countered if it is not, and neither if no verdict
    was reached. The serial number follows from the model and the verdict.
    """
    document = json.loads(JsonV1Dot6(_bom(outcome)).output_as_string())
    document["metadata"]["component"]["modelCard"] = _card(outcome)
    document["declarations"] = _declarations(outcome)
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _bom(outcome: Outcome) -> Bom:
    model = _model(outcome)
    bom = Bom(
        serial_number=_serial(outcome),
        metadata=BomMetaData(
            timestamp=outcome.moment,
            tools=ToolRepository(components=[_tool(outcome)]),
            component=model,
        ),
    )
    bom.register_dependency(model)
    return bom


def _serial(outcome: Outcome) -> UUID:
    verdict, evidence = outcome.result.verdict, outcome.result.evidence
    parts = (
        outcome.location,
        evidence.artifact.digest if evidence.artifact else "",
        evidence.samples.digest if evidence.samples else "",
        *(verdict.label, outcome.action, outcome.moment.isoformat()),
    )
    return uuid5(NAMESPACE_URL, "\n".join(parts))


def _tool(outcome: Outcome) -> Component:
    version = outcome.result.environment.get("ban-gate")
    return Component(
        name="ban-gate", version=version, type=ComponentType.APPLICATION, bom_ref="tool"
    )


def _model(outcome: Outcome) -> Component:
    artifact, export = outcome.result.evidence.artifact, outcome.result.evidence.export
    name = PurePosixPath(unquote(outcome.location)).name
    origin = Component(name=name, type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref="origin")
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=name,
        bom_ref=MODEL_REF,
        description=one_line(outcome.result.model_uri),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=artifact.digest)] if artifact else [],
        pedigree=Pedigree(ancestors=[origin]) if export else None,
        external_references=_references(outcome),
        properties=[Property(name=key, value=value) for key, value in _properties(outcome)],
    )


def _references(outcome: Outcome) -> list[ExternalReference]:
    if not outcome.run_url:
        return []
    kind = ExternalReferenceType.EVIDENCE
    return [ExternalReference(type=kind, url=XsUri(outcome.run_url), comment="the MLflow run")]


def _properties(outcome: Outcome) -> Iterator[tuple[str, str]]:
    verdict = outcome.result.verdict
    yield "ban-gate:verdict", verdict.label
    yield "ban-gate:gate", outcome.action
    if verdict.suspected_class is not None:
        yield "ban-gate:suspected-class", str(verdict.suspected_class)
    if name := suspected_name(outcome.result):
        yield "ban-gate:suspected-class-name", name
    for number, reason in enumerate(outcome.reasons):
        yield f"ban-gate:reason:{number}", reason


def _card(outcome: Outcome) -> Object:
    return {
        "modelParameters": {"task": "classification", **_parameters(outcome)},
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(outcome))},
        "considerations": {"technicalLimitations": [ADVICE[outcome.result.verdict.label]]},
    }


def _parameters(outcome: Outcome) -> Object:
    evidence = outcome.result.evidence
    parameters: Object = {}
    if evidence.artifact:
        parameters["inputs"], parameters["outputs"] = _formats(evidence.artifact)
    if samples := evidence.samples:
        parameters["datasets"] = [
            {
                "type": "dataset",
                "name": "clean samples",
                "description": f"{len(samples)} labelled samples of {samples.classes} classes",
                "contents": {"properties": [{"name": "sha256", "value": samples.digest}]},
            }
        ]
    return parameters


def _formats(artifact: OnnxArtifact) -> Iterator[list[Object]]:
    for spec in (artifact.input, artifact.output):
        shape = ", ".join("any" if size is None else str(size) for size in spec.shape)
        yield [{"format": one_line(f"{spec.name}: {spec.dtype} ({shape})")}]


def _metrics(outcome: Outcome) -> Iterator[Object]:
    verdict, clean = outcome.result.verdict, outcome.result.evidence.precondition
    numbers = {
        "accuracy": clean.clean_accuracy if clean else None,
        "backdoor anomaly score": verdict.anomaly_score,
        "backdoor critical value": verdict.critical_value,
        "backdoor p-value, at most" if verdict.p_is_bound else "backdoor p-value": verdict.p_value,
    }
    for name, value in numbers.items():
        if value is not None:
            yield {"type": name, "value": str(value), "slice": "clean samples"}


def _declarations(outcome: Outcome) -> Object:
    label = outcome.result.verdict.label
    reasons = "; ".join(outcome.reasons) or ADVICE[label]
    supports = {"clean": "evidence", "backdoored": "counterEvidence"}.get(label)
    claim: Object = {"bom-ref": CLAIM_REF, "target": MODEL_REF, "predicate": CLAIM}
    claim |= {"reasoning": reasons} | ({supports: [EVIDENCE_REF]} if supports else {})
    assessor = {"name": "ban-gate"}
    return {
        "assessors": [{"bom-ref": ASSESSOR_REF, "thirdParty": True, "organization": assessor}],
        "claims": [claim],
        "evidence": [
            {
                "bom-ref": EVIDENCE_REF,
                "description": "`verdict.json` beside this file has the statistics",
                "data": [{"name": "verdict.json", "contents": {"url": "verdict.json"}}],
            }
        ],
        "attestations": [
            {
                "summary": f"{label}: {reasons}",
                "assessor": ASSESSOR_REF,
                "map": _attested(label, reasons),
            }
        ],
    }


def _attested(label: Label, reasons: str) -> list[Object]:
    """What the attestation states about the claim; nothing if no verdict was reached."""
    match label:
        case "clean":
            return [{"claims": [CLAIM_REF], "conformance": {"score": 1, "rationale": reasons}}]
        case "backdoored":
            conformance = {"score": 0, "rationale": reasons}
            return [{"counterClaims": [CLAIM_REF], "conformance": conformance}]
    return []
