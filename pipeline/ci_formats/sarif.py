"""A scan as SARIF 2.1.0, in the subset that GitHub code scanning reads.

Source: OASIS SARIF 2.1.0, and GitHub's "SARIF support for code scanning".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pipeline.ci_formats.checks import ADVICE, Outcome, one_line
from pipeline.report.verdict_json import suspected_name
from pipeline.report.wording import WORDING
from stages.class_names import Names, name_of
from stages.searches.search import SearchResult
from stages.types import GraphFinding, Severity

SARIF_FILE = "verdict.sarif"
SCHEMA_URI = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
LONGEST_MESSAGE = 1000  # characters
MOST_NODES = 20
"""How many nodes of a graph finding are named at most."""

Object = dict[str, object]
Level = Literal["none", "note", "warning", "error"]

_LEVELS: dict[Severity, Level] = {"note": "note", "warning": "warning", "blocking": "error"}
_BACKDOOR, _NOT_JUDGED, _GRAPH, _POLICY = "backdoor", "not-judged", "graph-logic", "policy"


def sarif_text(outcome: Outcome) -> str:
    """The JSON of one run with its rules, results and what went wrong in the tool.

    A clean model has a result of kind `pass`, which GitHub leaves out; a model that could not be
    judged has an error, and a tool run without success.
    """
    run = {
        "tool": {"driver": driver(outcome.result.environment.get("ban-gate"))},
        "automationDetails": {"id": f"ban-gate/{outcome.location}/"},
        "artifacts": [_artifact(outcome)],
        "invocations": [_invocation(outcome)],
        "results": list(_results(outcome)),
        "columnKind": "unicodeCodePoints",
    }
    document = {"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def driver(version: str | None) -> Object:
    """The tool and its rules; `version` is that of ban-gate, if it is known."""
    named: Object = {"name": "ban-gate", "rules": _rules()}
    return named | ({"semanticVersion": version} if version else {})


def _rules() -> list[Object]:
    return [
        _rule(
            *(_BACKDOOR, "Backdoor", "error", "9.1"),
            short="The classifier probably has a backdoor",
            full="One fixed trigger, in the image or as neuron noise, turns images of every class"
            " into one class far more easily than into the others.",
            advice=ADVICE["backdoored"],
        ),
        _rule(
            *(_NOT_JUDGED, "NotJudged", "error", "7.0"),
            short="The classifier could not be judged",
            full="The file was refused, is of a kind that is not supported, does not fit the clean"
            " samples, or the tests reached no verdict.",
            advice=ADVICE["inconclusive"],
        ),
        _rule(
            *(_GRAPH, "GraphLogic", "warning", "7.0"),
            short="The graph contains logic that could be a trigger",
            full="Operators branch on the input, or route it past the layers, which trained"
            " classifiers rarely do.",
            advice="Look at the nodes that are named, and ask where the graph comes from.",
        ),
        _rule(
            *(_POLICY, "Policy", "error", "7.0"),
            short="The policy does not let the model pass",
            full="The gate's policy requires something that the model lacks.",
            advice="Read the reasons and the policy.",
        ),
    ]


RULES = (_BACKDOOR, _NOT_JUDGED, _GRAPH, _POLICY)
"""The ids of the rules, in the order in which the file lists them."""


def _rule(
    identifier: str, name: str, level: Level, severity: str, *, short: str, full: str, advice: str
) -> Object:
    return {
        "id": identifier,
        "name": name,
        "shortDescription": {"text": short},
        "fullDescription": {"text": full},
        "help": {"text": f"{full} {advice}", "markdown": f"{full}\n\n{advice}"},
        "defaultConfiguration": {"level": level},
        "properties": {
            "tags": ["security", "machine-learning"],
            "precision": "medium",
            "security-severity": severity,
        },
    }


def _results(outcome: Outcome) -> Iterator[Object]:
    verdict = outcome.result.verdict
    why = ADVICE["clean"] if verdict.label == "clean" else "; ".join(verdict.reasons)
    if verdict.label == "inconclusive":
        yield _result(outcome, _NOT_JUDGED, "error", f"cannot judge the model: {why}")
    else:
        level: Level = "none" if verdict.label == "clean" else "error"
        yield _result(outcome, _BACKDOOR, level, why) | _scores(outcome)
    for finding in outcome.result.evidence.findings:
        yield _finding(outcome, finding)
    if outcome.decision and outcome.decision.action == "block":
        yield _result(outcome, _POLICY, "error", "; ".join(outcome.decision.reasons))


def _result(
    outcome: Outcome, rule: str, level: Level, message: str, about: Iterable[str] = ()
) -> Object:
    """One result at the model's file; `about` tells it apart from others of its rule."""
    digest = hashlib.sha256("\n".join((rule, outcome.location, *about)).encode())
    return {
        "ruleId": rule,
        "ruleIndex": RULES.index(rule),
        "level": level,
        "kind": "pass" if level == "none" else "fail",
        "message": {"text": plain(message) or rule},
        "locations": [{"physicalLocation": _place(outcome)}],
        "partialFingerprints": {"primaryLocationLineHash": f"{digest.hexdigest()[:16]}:1"},
    }


def _finding(outcome: Outcome, finding: GraphFinding) -> Object:
    nodes = list(map(one_line, finding.nodes[:MOST_NODES]))
    result = _result(
        outcome,
        _GRAPH,
        _LEVELS[finding.severity],
        f"{finding.rule}: {finding.message}",
        (finding.rule, *nodes),
    )
    logical: list[Object] = [{"name": node, "kind": "element"} for node in nodes]
    result["locations"] = [{"physicalLocation": _place(outcome), "logicalLocations": logical}]
    return result


def _place(outcome: Outcome) -> Object:
    """The first line of the file: GitHub requires a line even in a binary file."""
    return {
        "artifactLocation": {"uri": outcome.location, "index": 0},
        "region": {"startLine": 1},
    }


def _scores(outcome: Outcome) -> Object:
    verdict = outcome.result.verdict
    searches, names = outcome.result.evidence.searches, outcome.result.evidence.class_names
    success = {
        name: {
            "title": WORDING[name].title,
            **_destination(each, names),
            "attack_success_rate": each.success.rate,
            "samples": each.success.samples,
            "inside_twin": each.success.inside_twin,
        }
        for name, each in searches.items()
        if each.success and each.targets
    }
    return {
        "properties": _without_nones(
            anomaly_score=verdict.anomaly_score,
            critical_value=verdict.critical_value,
            p_value=verdict.p_value,
            p_is_bound=verdict.p_is_bound if verdict.p_value is not None else None,
            suspected_class=verdict.suspected_class,
            suspected_class_name=suspected_name(outcome.result),
            recovered_triggers=success or None,
        )
    }


def _destination(found: SearchResult, names: Names) -> Object:
    """The class that a trigger carries everything to, or the one that it carries each class to."""
    if found.permuted:
        return {"mapping": found.permuted}
    target = found.targets[0]
    name = name_of(target, names)
    return {"target": target} | ({"target_name": name} if name else {})


def _artifact(outcome: Outcome) -> Object:
    evidence = outcome.result.evidence
    described: Object = {"location": {"uri": outcome.location}, "roles": ["analysisTarget"]}
    if evidence.artifact:
        described["description"] = {"text": "the hash is that of the ONNX file that was judged"}
        described["hashes"] = {"sha-256": evidence.artifact.digest}
    return described


def _invocation(outcome: Outcome) -> Object:
    verdict = outcome.result.verdict
    judged = verdict.label != "inconclusive"
    notifications = [] if judged else [_notification(reason) for reason in verdict.reasons]
    return {
        "executionSuccessful": judged,
        "endTimeUtc": outcome.moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "toolExecutionNotifications": notifications,
        "properties": _without_nones(run_url=outcome.run_url),
    }


def _notification(reason: str) -> Object:
    return {"level": "error", "message": {"text": plain(reason) or "no reason is known"}}


def plain(text: str) -> str:
    """The text on one line, without links: SARIF reads `[text](target)` in a message as a link."""
    shown = one_line(text)
    shown = shown if len(shown) <= LONGEST_MESSAGE else f"{shown[: LONGEST_MESSAGE - 1]}…"
    return shown.replace("[", "\\[").replace("]", "\\]")


def _without_nones(**values: object) -> Mapping[str, object]:
    return {name: value for name, value in values.items() if value is not None}
