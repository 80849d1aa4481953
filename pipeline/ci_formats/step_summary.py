"""What GitHub Actions shows of a scan: the job's summary, an annotation, and the step's outputs.

Source: GitHub, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

from urllib.parse import unquote

from pipeline.ci_formats.checks import ADVICE, Check, Outcome, checks, one_line
from pipeline.evidence import ScanResult
from pipeline.report.markdown import literal
from pipeline.report.recovered import recovered_text
from pipeline.report.verdict_json import suspected_name
from pipeline.report.wording import p_text, score_text

SUMMARY_FILE = "summary.md"
_TITLES = {"clean": "no backdoor found", "backdoored": "backdoored", "inconclusive": "not judged"}


def summary_text(outcome: Outcome) -> str:
    """Markdown: the verdict, what it means, and a table with a row for every check.

    Whatever in a name could be read as Markdown or HTML is written in character references.
    """
    verdict = outcome.result.verdict
    parts = [
        f"## Backdoor scan: {_TITLES[verdict.label]}, gate: {outcome.action}",
        ADVICE[verdict.label],
        "\n".join(_facts(outcome)),
        "Why:",
        "\n".join(f"- {_literal(reason)}" for reason in outcome.reasons),
        "\n".join(["| check | result | why |", "|---|---|---|", *map(_row, checks(outcome))]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def annotation(outcome: Outcome) -> str:
    """The workflow command that puts the verdict beside the model in GitHub's list of changes."""
    label = outcome.result.verdict.label
    passed = "notice" if label == "clean" else "warning"
    level = passed if outcome.action == "pass" else "error"
    message = "; ".join(outcome.reasons) or ADVICE[label]
    place = _property(unquote(outcome.location))  # a workflow command has an encoding of its own
    return f"::{level} file={place},title=ban-gate {label}::{_data(one_line(message))}"


def output_lines(outcome: Outcome) -> str:
    """Lines `name=value` for $GITHUB_OUTPUT; a value never has a second line."""
    verdict = outcome.result.verdict
    outputs = {
        "verdict": verdict.label,
        "gate": outcome.action,
        "anomaly-score": verdict.anomaly_score,
        "critical-value": verdict.critical_value,
        "p-value": verdict.p_value,
        "p-is-bound": str(verdict.p_is_bound).lower() if verdict.p_value is not None else None,
        "suspected-class": verdict.suspected_class,
        "suspected-class-name": suspected_name(outcome.result),
        "run-url": outcome.run_url,
    }
    texts = {name: "" if value is None else str(value) for name, value in outputs.items()}
    return "".join(f"{name}={one_line(value)}\n" for name, value in texts.items())


def _facts(outcome: Outcome) -> list[str]:
    result = outcome.result
    verdict, artifact = result.verdict, result.evidence.artifact
    p = verdict.p_value
    facts = {
        "model": result.model_uri,
        "sha256": artifact and artifact.digest,
        "anomaly score": _score(verdict.anomaly_score),
        "critical value": _score(verdict.critical_value),
        "p-value": None if p is None else p_text(p, verdict.p_is_bound),
        "suspected class": _suspected(result),
        "recovered": recovered_text(result),
        "MLflow run": outcome.run_url,
    }
    texts = {name: str(value) for name, value in facts.items() if value is not None}
    return [f"- {name}: <code>{_literal(value)}</code>" for name, value in texts.items()]


def _suspected(result: ScanResult) -> str | None:
    """The number of the suspected class, and its name where it has one."""
    number, name = result.verdict.suspected_class, suspected_name(result)
    return f"{number} ({name})" if name else None if number is None else str(number)


def _score(number: float | None) -> str | None:
    return None if number is None else score_text(number)


def _row(check: Check) -> str:
    return f"| {check.claim} | {check.status} | {_literal(check.message)} |"


def _literal(text: str) -> str:
    return literal(one_line(text))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
