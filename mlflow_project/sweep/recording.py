"""A sweep as an MLflow run, with a nested run for each version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mlflow

from mlflow_project import tracking
from mlflow_project.connection import Target
from mlflow_project.registry.versions import explained
from mlflow_project.run_contents import LONGEST_TAG
from pipeline.printable import printable
from pipeline.sweep.rows import Row, Sweep


def record_sweep(sweep: Sweep, texts: Mapping[str, str], folder: Path, target: Target) -> None:
    """Logs the reports, by name, and the numbers of a sweep to a run, and each version below it.

    Joins the run named by `MLFLOW_RUN_ID`, as under `mlflow run`, or starts one.

    Raises:
        TrackingError: the server or its artifact store failed.
    """
    with tracking.open_run(f"sweep {folder.name}", target), explained("cannot record the sweep"):
        mlflow.log_metrics(_metrics(sweep))
        for row in sweep.rows:
            _record_row(row)
        tracking.note(texts, {"ban.sweep": "true", "ban.scanner": sweep.plan.head.scanner})
        mlflow.set_tag("ban.sweep_exit_code", str(sweep.code))


def _metrics(sweep: Sweep) -> dict[str, float]:
    return {
        **{f"versions/{name.replace(' ', '_')}": float(n) for name, n in sweep.counts.items()},
        "versions/waiting": float(len(sweep.waiting)),
        "versions/blocked": float(sweep.blocked),
        "models_tested": float(sweep.scans),
        "expected_false_blocks": sweep.false_blocks,
    }


def _record_row(row: Row) -> None:
    result = row.result
    numbers = {
        "anomaly_score": result.anomaly_score,
        "critical_value": result.critical_value,
        "p_value": result.p_value,
        "q_value": row.q.value if row.q else None,
    }
    tags = {
        "ban.verdict": result.verdict or "",
        "ban.gate": result.action,
        "ban.state": result.state,
        "ban.reason": printable("; ".join(result.reasons))[:LONGEST_TAG],
        "ban.swept": printable(result.source),
    }
    name = printable(f"{result.name}/{result.version}" if result.version else result.name)
    with mlflow.start_run(run_name=name, nested=True, tags=tags):
        mlflow.log_metrics({key: each for key, each in numbers.items() if each is not None})
