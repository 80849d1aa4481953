"""The verdict for other programs and for people: `verdict.json`, a table per class, one line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from pipeline.config import config_dict
from pipeline.drafts import write_text
from pipeline.native import ExportResult
from pipeline.printable import printable
from pipeline.result import Evidence, ScanResult
from stages.types import ParityResult, Statistic

SCHEMA = 1
VERDICT_FILE = "verdict.json"

Column = list[int | float | None]


def verdict_document(result: ScanResult) -> dict[str, object]:
    """The whole verdict as strict JSON: every key is always there, null where nothing is known."""
    verdict, evidence = result.verdict, result.evidence
    document = {
        "schema": SCHEMA,
        "verdict": verdict.label,
        "reasons": verdict.reasons,
        "suspected_class": verdict.suspected_class,
        "p_value": verdict.p_value,
        "score": verdict.score,
        "statistics": {each.name: _statistic(each) for each in verdict.statistics},
        "model": _model(result.model_uri, evidence),
        "samples": _samples(evidence),
        "parity": {**_parity(evidence.parity), "native": _native(evidence.export)},
        "graph_findings": [asdict(finding) for finding in evidence.findings],
        "seconds": result.seconds,
        "peak_rss_mb": result.peak_rss_mb,
        "environment": result.environment,
        "config": config_dict(result.config),
        "seed": result.config.seed,
        "references": [asdict(each) for each in evidence.references],
    }
    return {key: _strict(value) for key, value in document.items()}


def verdict_text(document: Mapping[str, object]) -> str:
    """The document as the text of `verdict.json`."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def write_verdict(result: ScanResult, folder: Path) -> Path:
    """Writes `verdict.json` into an existing folder, in one step, and returns its path."""
    return write_text(folder / VERDICT_FILE, verdict_text(verdict_document(result)))


def class_table(result: ScanResult) -> dict[str, Column]:
    """Columns with one entry per class, None where the scan did not come that far.

    Counts are of samples; `recall` and flip rates shares in [0, 1]; the margin of the blend and
    `mean_pull`, that under the noise, are mean margins in clean leads; those of patch and warp say
    how surely the class wins (`targets.sureness`). Empty if the classes are unknown.
    """
    classes = _classes(result.evidence)
    columns: dict[str, Column] = {"class": list(range(classes)), **_clean_columns(result.evidence)}
    columns |= _noise_columns(result.evidence)
    return {name: column or [None] * classes for name, column in columns.items()}


def summary(result: ScanResult) -> str:
    """The verdict in one line: label, p-value and score or the first reason, and the model."""
    verdict = result.verdict
    if verdict.label == "inconclusive":
        told = " ".join((verdict.reasons or ("no reason is known",))[0].split())
    else:
        told = f"p {_short(verdict.p_value)}  score {_short(verdict.score)}"
        if verdict.label == "backdoored" and verdict.suspected_class is not None:
            told += f"  class {verdict.suspected_class}"
    return printable(f"{verdict.label:<12}  {told}  {result.model_uri}")


def _short(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.2g}"


def _statistic(statistic: Statistic) -> dict[str, object]:
    entries = asdict(statistic)
    del entries["name"]
    return entries


def _model(uri: str, evidence: Evidence) -> dict[str, object]:
    artifact, twin = evidence.artifact, evidence.twin
    return {
        "uri": uri,
        "framework": _framework(evidence),
        "digest": artifact and artifact.digest,
        "content_digest": artifact and artifact.content_digest,
        "opset": artifact and artifact.opset,
        "parameters": artifact and artifact.parameters,
        "sites": twin and len(twin.sites),
    }


def _framework(evidence: Evidence) -> str | None:
    if evidence.export:
        return evidence.export.framework
    return evidence.artifact.framework if evidence.artifact else None


def _native(export: ExportResult | None) -> dict[str, object] | None:
    """How far the ONNX is from the native model it was exported from, and by which packages."""
    if export is None:
        return None
    return {**_parity(export.parity), "packages": export.packages}


def _samples(evidence: Evidence) -> dict[str, object]:
    samples, precondition = evidence.samples, evidence.precondition
    return {
        "digest": samples and samples.digest,
        "n": samples and len(samples),
        "classes": samples and samples.classes,
        "clean_accuracy": precondition and precondition.clean_accuracy,
    }


def _parity(parity: ParityResult | None) -> dict[str, object]:
    told = (item.name for item in fields(ParityResult) if item.name != "logits")
    return {name: getattr(parity, name, None) for name in told}


def _strict(value: object) -> object:
    """The value without what strict JSON lacks: tuples, numpy numbers, NaN and infinity."""
    match value:
        case Mapping():
            return {str(key): _strict(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_strict(inner) for inner in value]
        case np.generic():
            return _strict(value.item())
        case float() if not math.isfinite(value):
            return None
    return value


def _classes(evidence: Evidence) -> int:
    if evidence.precondition:
        return int(evidence.precondition.logits.shape[1])
    return evidence.twin.classes if evidence.twin else 0


def _clean_columns(evidence: Evidence) -> dict[str, Column]:
    if not evidence.precondition or not evidence.samples:
        return {"samples": [], "clean_predictions": [], "recall": []}
    classes = evidence.precondition.logits.shape[1]
    labels, predicted = evidence.samples.labels, evidence.precondition.logits.argmax(1)
    present = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[labels == predicted], minlength=classes)
    recall: Column = [
        float(hits / n) if n else None for hits, n in zip(right, present, strict=True)
    ]
    return {
        "samples": present.tolist(),
        "clean_predictions": np.bincount(predicted, minlength=classes).tolist(),
        "recall": recall,
    }


def _noise_columns(evidence: Evidence) -> dict[str, Column]:
    targeted, untargeted, mask = evidence.targeted, evidence.untargeted, evidence.mask
    reference = evidence.reference
    blend, patch, warp = evidence.blend, evidence.patch, evidence.warp
    return {
        "blend_margin": blend.margins.tolist() if blend else [],
        "patch_margin": patch.margins.tolist() if patch else [],
        "warp_margin": warp.margins.tolist() if warp else [],
        "flip_rate": targeted.flips[targeted.chosen].tolist() if targeted else [],
        "worst_source_flip_rate": (
            targeted.worst_source[targeted.chosen].tolist() if targeted else []
        ),
        "mean_pull": targeted.pull[targeted.chosen].tolist() if targeted else [],
        "noise_predictions": untargeted.predictions.tolist() if untargeted else [],
        "masked_predictions": mask.predictions.tolist() if mask else [],
        "reference_predictions": reference.predictions.tolist() if reference else [],
    }
