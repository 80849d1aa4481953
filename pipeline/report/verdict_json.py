"""The verdict for other programs and for people: `verdict.json`, a table per class, one line.

The document's JSON Schema is `docs/schema/verdict-2.schema.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from pipeline.atomic_files import write_text
from pipeline.config import config_dict, config_digest
from pipeline.evidence import Evidence, ScanResult
from pipeline.intake.native import ExportResult
from pipeline.printable import printable
from pipeline.report.wording import PUBLISHED, p_text, score_text
from stages.class_names import class_text, name_of
from stages.searches import SEARCHES
from stages.searches.search import SearchResult
from stages.types import ParityResult, Statistic, Verdict

SCHEMA = 2
VERDICT_FILE = "verdict.json"

Column = list[int | float | str | None]


def verdict_document(result: ScanResult) -> dict[str, object]:
    """The whole verdict as strict JSON: every key is always there, null where nothing is known."""
    verdict, evidence = result.verdict, result.evidence
    document = {
        "schema": SCHEMA,
        "verdict": verdict.label,
        "reasons": verdict.reasons,
        "suspected_class": verdict.suspected_class,
        "suspected_class_name": suspected_name(result),
        "class_names": evidence.class_names,
        "anomaly_score": verdict.anomaly_score,
        "critical_value": verdict.critical_value,
        "p_value": verdict.p_value,
        "p_is_bound": verdict.p_is_bound,
        "calibration": _calibration(verdict),
        "class_scores": verdict.class_scores,
        "searches": _searches(evidence),
        "published": {each.name: _statistic(each) for each in verdict.published},
        "model": _model(result.model_uri, evidence),
        "samples": _samples(evidence),
        "parity": {**_parity(evidence.parity), "native": _native(evidence.export)},
        "graph_findings": [asdict(finding) for finding in evidence.findings],
        "references": [asdict(each) for each in evidence.references],
        "seconds": result.seconds,
        "estimate": _estimate(evidence),
        "extent": _extent(evidence),
        "peak_rss_mb": result.peak_rss_mb,
        "isolation": evidence.isolation and asdict(evidence.isolation),
        "environment": result.environment,
        "scanner": result.environment.get("ban-gate"),
        "config": config_dict(result.config),
        "config_digest": config_digest(result.config),
        "seed": result.config.seed,
        "time": result.ended.isoformat(timespec="seconds"),
    }
    return {key: _strict(value) for key, value in document.items()}


def suspected_name(result: ScanResult) -> str | None:
    """The name of the suspected class; None where there is no such class, or it has no name."""
    suspected = result.verdict.suspected_class
    return None if suspected is None else name_of(suspected, result.evidence.class_names) or None


def verdict_text(document: Mapping[str, object]) -> str:
    """The document as the text of `verdict.json`."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def write_verdict(result: ScanResult, folder: Path) -> Path:
    """Writes `verdict.json` into an existing folder, in one step, and returns its path."""
    return write_text(folder / VERDICT_FILE, verdict_text(verdict_document(result)))


def class_table(result: ScanResult) -> dict[str, Column]:
    """Columns with one entry per class, None where the scan did not come that far.

    `name` is what the class is called, `samples` and predictions are counts, `recall` a share in
    [0, 1], `anomaly_score` the score of each class; then every statistic by its full name, None for
    a class that was not searched to the end, and what published algorithms say. Empty if the
    classes are unknown.
    """
    classes, names = _classes(result.evidence), result.evidence.class_names
    columns: dict[str, Column] = {
        "class": list(range(classes)),
        "name": [name_of(number, names) or None for number in range(classes)],
        **_clean_columns(result.evidence),
    }
    columns["anomaly_score"] = list(result.verdict.class_scores)
    columns |= _statistic_columns(result.evidence)
    columns |= {name: [] for name in PUBLISHED}
    columns |= {each.name: list(each.per_class) for each in result.verdict.published}
    return {name: column or [None] * classes for name, column in columns.items()}


def summary(result: ScanResult) -> str:
    """The verdict in one line: label, score and p-value or the first reason, and the model."""
    verdict = result.verdict
    if verdict.label == "inconclusive":
        text = " ".join((verdict.reasons or ("no reason is known",))[0].split())
    else:
        text = "  ".join(_numbers(result))
    return printable(f"{verdict.label:<12}  {text}  {result.model_uri}")


def _numbers(result: ScanResult) -> list[str]:
    verdict = result.verdict
    numbers = []
    if verdict.anomaly_score is not None and verdict.critical_value is not None:
        score, level = score_text(verdict.anomaly_score), score_text(verdict.critical_value)
        numbers.append(f"anomaly score {score} (critical value {level})")
    p = p_text(verdict.p_value, verdict.p_is_bound)
    numbers.append(f"p {p}" if verdict.p_value is not None else "found in the graph")
    if verdict.suspected_class is not None:
        numbers.append(class_text(verdict.suspected_class, result.evidence.class_names))
    return numbers


def _calibration(verdict: Verdict) -> str | None:
    """Whether the model is like those of the calibration; null where there is no verdict on it."""
    if not verdict.class_scores:
        return None
    return f"outside: {verdict.outside}" if verdict.outside else "inside"


def _searches(evidence: Evidence) -> dict[str, object]:
    """What each search that was reached says, by its name."""
    specs = {search.name: search for search in SEARCHES}
    return {
        name: {
            "statistics": {
                spec.name: {
                    "unit": spec.unit,
                    "per_class": found.statistics[spec.name].tolist(),
                }
                for spec in specs[name].statistics
            },
            "target": found.accused,
            "targets": found.targets,
            "mapping": found.permuted or None,
            "trigger": _trigger(found),
            "effort": asdict(found.effort),
            "silent": found.silent or None,
        }
        for name, found in evidence.searches.items()
    }


def _trigger(found: SearchResult) -> dict[str, object]:
    """What was recovered, and how often it works on samples it was not searched on."""
    success = found.success if found.targets else None
    trigger = found.trigger if found.targets else None
    inside = bool(success and success.inside_twin)
    kind = trigger.kind if trigger else "neuron noise" if inside else None
    return {
        "kind": kind,
        "attack_success_rate": success.rate if success else None,
        "samples": success.samples if success else 0,
        "inside_twin": inside,
    }


def _statistic(statistic: Statistic) -> dict[str, object]:
    return {"unit": statistic.unit, "per_class": statistic.per_class}


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
        "output": artifact and artifact.output.name,
        "peeled": list(artifact.peeled) if artifact else [],
        "unscanned": list(artifact.unscanned) if artifact else [],
    }


def _estimate(evidence: Evidence) -> dict[str, object] | None:
    """What the searches were expected to take, and what they took; null where all was kept."""
    estimate = evidence.estimate
    if estimate is None:
        return None
    return {
        "images": estimate.images,
        "images_kept": estimate.kept,
        "images_per_second": estimate.images_per_second,
        "seconds": estimate.seconds,
        "actual_seconds": evidence.searched_seconds,
    }


def _extent(evidence: Evidence) -> dict[str, object]:
    """What was asked for, whether it was all done, and if not, what a further call needs."""
    extent = evidence.extent
    left = [each.name for each in SEARCHES if each.name not in evidence.searches]
    return {
        "quick": extent.quick,
        "budget_seconds": extent.budget,
        "finished": not extent.unfinished,
        "searches_left": left if extent.unfinished else [],
        "needed_seconds": extent.needs,
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
        "provenance": json.loads(samples.provenance) if samples and samples.provenance else None,
    }


def _parity(parity: ParityResult | None) -> dict[str, object]:
    names = (item.name for item in fields(ParityResult) if item.name != "logits")
    return {name: getattr(parity, name, None) for name in names}


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


def _statistic_columns(evidence: Evidence) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for search in SEARCHES:
        found = evidence.searches.get(search.name)
        for spec in search.statistics:
            values = found.statistics[spec.name].tolist() if found else []
            known: Column = [None if math.isnan(each) else each for each in values]
            columns[f"{search.name}.{spec.name}"] = known
    return columns
