"""What a scan leaves in its MLflow run: parameters, metrics, tags and a description."""

from __future__ import annotations

import math
import time

import numpy as np
from mlflow.entities import Metric

from pipeline.config import flat_settings
from pipeline.evidence import Evidence, ScanResult
from pipeline.printable import printable
from pipeline.report.markdown import literal
from pipeline.report.recovered import recovered_text
from pipeline.report.verdict_json import suspected_name
from pipeline.report.wording import p_text, score_text
from stages.class_names import class_text
from stages.types import Floats

LONGEST_TAG = 5000
CLASS_NAME_TAG = "ban.suspected_class_name"
USAGE = "usage"
"""What metrics of time and memory begin with: MLflow sorts by name, and these come last."""
TITLES = {"clean": "No backdoor found", "backdoored": "Backdoored", "inconclusive": "No verdict"}


def params_of(result: ScanResult) -> dict[str, object]:
    """Every setting, and what was judged on which samples."""
    evidence = result.evidence
    return {
        **flat_settings(result.config),
        "model_uri": printable(result.model_uri),
        "model_digest": evidence.artifact and evidence.artifact.digest,
        "samples_digest": evidence.samples and evidence.samples.digest,
    }


def metrics_of(result: ScanResult) -> list[Metric]:
    """The verdict's numbers, the curves step by step, and what the scan took."""
    now = int(time.time() * 1000)
    points = [(name, value, 0) for name, value in _numbers(result).items()]
    for name, values in _curves(result.evidence).items():
        points += [(name, float(value), step) for step, value in enumerate(values)]
    return [
        Metric(name, value, now, step)
        for name, value, step in points
        if value is not None and math.isfinite(value)
    ]


def _numbers(result: ScanResult) -> dict[str, float | None]:
    evidence = result.evidence
    precondition = evidence.precondition
    return {
        **verdict_numbers(result),
        **{f"{USAGE}/seconds/{name}": seconds for name, seconds in result.seconds.items()},
        f"{USAGE}/peak_rss_mb": result.peak_rss_mb,
        "parity_max_rel": evidence.parity.max_rel if evidence.parity else None,
        "clean_accuracy": precondition.clean_accuracy if precondition else None,
    }


def verdict_numbers(result: ScanResult) -> dict[str, float | None]:
    """The verdict's numbers, what they are made of, and how well what was recovered works."""
    verdict, searches = result.verdict, result.evidence.searches
    return {
        "anomaly_score": verdict.anomaly_score,
        "critical_value": verdict.critical_value,
        "p_value": verdict.p_value,
        **{
            f"attack_success_rate/{name}": each.success.rate
            for name, each in searches.items()
            if each.success
        },
        **{
            f"statistic/{each.name}": each.value
            for each in (*verdict.statistics, *verdict.published)
        },
    }


def _curves(evidence: Evidence) -> dict[str, Floats]:
    curves = {}
    if sweep := evidence.sweep:
        curves["neuron_noise/epsilon"] = sweep.bounds
        curves["neuron_noise/median_success_rate"] = np.nanmedian(sweep.success_rate, axis=1)
        curves["neuron_noise/max_success_rate"] = np.nanmax(sweep.success_rate, axis=1)
    if untargeted := evidence.untargeted:
        curves["untargeted/loss"] = untargeted.loss
    if mask := evidence.mask:
        curves["mask/benign_loss"] = mask.benign_loss
        curves["mask/other_loss"] = mask.other_loss
    return curves


def tags_of(result: ScanResult) -> dict[str, str]:
    """The verdict, the answer to the gate, and why."""
    verdict, evidence = result.verdict, result.evidence
    tags = {
        "ban.verdict": verdict.label,
        "ban.gate": "pass" if verdict.label == "clean" else "block",
        "ban.reason": printable(" ".join("; ".join(verdict.reasons).split()))[:LONGEST_TAG],
        "ban.suspected_class": verdict.suspected_class,
        CLASS_NAME_TAG: suspected_name(result),
        "ban.recovered": recovered_text(result),
        "ban.model_digest": evidence.artifact and evidence.artifact.digest,
        "ban.samples_digest": evidence.samples and evidence.samples.digest,
    }
    return {key: str(value) for key, value in tags.items() if value is not None}


def description_of(result: ScanResult) -> str:
    """The verdict in Markdown, for the top of the run's page."""
    verdict = result.verdict
    title = TITLES[verdict.label]
    if verdict.suspected_class is not None:
        title += f": {class_text(verdict.suspected_class, result.evidence.class_names)}"
    parts = [f"**{literal(printable(title))}.**", f"Model: {literal(printable(result.model_uri))}."]
    if recovered := recovered_text(result):
        parts.append(f"{literal(recovered[:1].upper() + recovered[1:])}.")
    if verdict.anomaly_score is not None and verdict.critical_value is not None:
        level, p = score_text(verdict.critical_value), p_text(verdict.p_value, verdict.p_is_bound)
        score = score_text(verdict.anomaly_score)
        parts.append(f"Anomaly score {score} (critical value {level}), p-value {p}.")
    elif verdict.reasons:
        parts.append(literal(printable(" ".join(verdict.reasons[0].split())))[: LONGEST_TAG // 2])
    return " ".join(parts) + "\n\nThe artifact `report.html` has the whole report."
