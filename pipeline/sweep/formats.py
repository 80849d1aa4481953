"""A sweep for CI systems: JUnit with a case for each version, SARIF with a result for each that
does not pass.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from junitparser import Error, Failure, Skipped, TestCase, TestSuite

from pipeline.ci_formats import sarif
from pipeline.ci_formats.checks import one_line, relative_location
from pipeline.ci_formats.junit import document_text
from pipeline.report.wording import p_text, score_text
from pipeline.sweep.results import BLOCKED, PASSED, Result
from pipeline.sweep.rows import Row, Sweep

Object = dict[str, object]


def junit_text(sweep: Sweep) -> str:
    """The XML of one suite: a block is a failure, what was not judged an error, and what still
    waits is skipped.
    """
    suite = TestSuite("ban-gate sweep")
    facts = {**sweep.counts, "expected_false_blocks": f"{sweep.false_blocks:.3g}"}
    for name, value in facts.items():
        suite.add_property(name, str(value))
    suite.add_testcases([*map(_case, sweep.rows), *_waiting(sweep)])
    return document_text(suite)


def sarif_text(sweep: Sweep) -> str:
    """The JSON of one run with a result for each version that does not pass."""
    failing = [each for each in sweep.rows if each.result.code != PASSED]
    unsure = [each for each in failing if each.result.code != BLOCKED]
    run = {
        "tool": {"driver": sarif.driver(sweep.plan.head.scanner)},
        "automationDetails": {"id": "ban-gate/sweep/"},
        "invocations": [
            {
                "executionSuccessful": not unsure and not sweep.waiting,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": sarif.plain(_why(each.result))}}
                    for each in unsure
                ],
            }
        ],
        "results": [_result(each) for each in failing],
        "columnKind": "unicodeCodePoints",
    }
    document = {"$schema": sarif.SCHEMA_URI, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _case(row: Row) -> TestCase:
    result = row.result
    case = TestCase(
        one_line(result.source), classname="ban-gate.sweep", time=round(result.seconds, 3)
    )
    if result.code != PASSED:
        kind = Failure if result.code == BLOCKED else Error
        ending = kind(_why(result), row.label)
        ending.text = _why(result)
        case.result = [ending]
    return case


def _waiting(sweep: Sweep) -> Iterator[TestCase]:
    waiting = set(sweep.waiting)
    for line in sweep.plan.lines:
        if line.id in waiting:
            case = TestCase(one_line(line.source), classname="ban-gate.sweep")
            case.result = [Skipped("not judged yet", "waiting")]
            yield case


def _result(row: Row) -> Object:
    result = row.result
    blocked = result.code == BLOCKED
    rule = "not-judged" if not blocked else _blocking_rule(result)
    location = relative_location(result.source, ".")
    digest = hashlib.sha256(f"{rule}\n{location}".encode()).hexdigest()
    return {
        "ruleId": rule,
        "ruleIndex": sarif.RULES.index(rule),
        "level": "error",
        "kind": "fail",
        "message": {"text": sarif.plain(_why(result))},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": location},
                    "region": {"startLine": 1},
                }
            }
        ],
        "partialFingerprints": {"primaryLocationLineHash": f"{digest[:16]}:1"},
        "properties": _numbers(row),
    }


def _blocking_rule(result: Result) -> str:
    return "backdoor" if result.verdict == "backdoored" else "policy"


def _numbers(row: Row) -> Object:
    result = row.result
    values: Object = {
        "anomaly_score": result.anomaly_score,
        "critical_value": result.critical_value,
        "p_value": result.p_value,
        "q_value": row.q.value if row.q else None,
        "q_is_bound": row.q.is_bound if row.q else None,
        "suspected_class": result.suspected_class,
    }
    return {name: value for name, value in values.items() if value is not None}


def _why(result: Result) -> str:
    """Why a version does not pass, on one line."""
    if result.reasons:
        return one_line("; ".join(result.reasons))
    if result.anomaly_score is None or result.critical_value is None:
        return f"{result.state}: no reason is known"
    score, level = score_text(result.anomaly_score), score_text(result.critical_value)
    return f"anomaly score {score}, critical value {level}, p {p_text(result.p_value, False)}"
