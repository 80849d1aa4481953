"""SARIF that the OASIS schema accepts, within what GitHub code scanning reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft4Validator

from pipeline.ci_formats.checks import Outcome
from pipeline.ci_formats.sarif import RULES, sarif_text
from pipeline.evidence import ScanResult
from pipeline.gate.decision import GateDecision
from stages.types import GraphFinding
from tests.support.finished_scans import with_evidence
from tests.support.hostile_names import ANY_TEXT, NAMES, outcome_named
from tests.support.places import SCHEMAS

Make = Callable[..., Outcome]
MakeResult = Callable[..., ScanResult]

SCHEMA = SCHEMAS / "sarif-2.1.0-rtm.5.json"


@pytest.fixture(scope="module")
def schema() -> Draft4Validator:
    """The schema of SARIF 2.1.0."""
    return Draft4Validator(json.loads(SCHEMA.read_text()))


def _run(text: str) -> Any:
    (run,) = json.loads(text, parse_constant=pytest.fail)["runs"]
    return run


def _values(document: object) -> Iterator[object]:
    """Every value in a document, at any depth."""
    yield document
    inner = document.values() if isinstance(document, dict) else document
    if isinstance(inner, list) or isinstance(document, dict):
        for each in inner:  # type: ignore[attr-defined] # a list or a dict's values
            yield from _values(each)


def _check_for_github(text: str) -> None:
    """The subset that GitHub reads, beyond the schema."""
    document, run = json.loads(text), _run(text)
    rules = run["tool"]["driver"]["rules"]
    assert document["version"] == "2.1.0"
    assert all(value is not None for value in _values(document)), "null"
    assert [rule["id"] for rule in rules] == list(RULES)
    for rule in rules:
        severity = rule["properties"]["security-severity"]
        assert isinstance(severity, str)
        assert 0 < float(severity) <= 10
        assert "security" in rule["properties"]["tags"]
        assert rule["help"]["text"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert "baselineState" not in result
        assert result["message"]["text"]
        assert (result["kind"] == "fail") == (result["level"] != "none")
        assert re.fullmatch(
            "[0-9a-f]{16}:1", result["partialFingerprints"]["primaryLocationLineHash"]
        )
        place = result["locations"][0]["physicalLocation"]
        _check_relative(place["artifactLocation"]["uri"])
        assert place["region"]["startLine"] == 1
    _check_relative(run["artifacts"][0]["location"]["uri"])


def _check_relative(uri: str) -> None:
    assert urlsplit(uri).path == uri != ""
    assert not uri.startswith("/")


@pytest.mark.parametrize(
    ("label", "rule", "level"),
    [
        ("clean", "backdoor", "none"),
        ("backdoored", "backdoor", "error"),
        ("inconclusive", "not-judged", "error"),
    ],
)
def test_real_scans_are_valid_for_oasis_and_github(
    real_outcomes: dict[str, Outcome], schema: Draft4Validator, label: str, rule: str, level: str
) -> None:
    """One result per verdict, at the model's file, under its rule."""
    text = sarif_text(real_outcomes[label])

    schema.validate(json.loads(text))
    _check_for_github(text)
    (result,) = _run(text)["results"]
    assert (result["ruleId"], result["level"]) == (rule, level)
    location = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert location == real_outcomes[label].result.model_uri


def test_a_run_without_a_verdict_was_not_successful(real_outcomes: dict[str, Outcome]) -> None:
    """A refused model is an unsuccessful run of the tool that says why."""
    for label, outcome in real_outcomes.items():
        (invocation,) = _run(sarif_text(outcome))["invocations"]

        notes = [each["message"]["text"] for each in invocation["toolExecutionNotifications"]]
        assert invocation["executionSuccessful"] == (label != "inconclusive")
        assert bool(notes) == (label == "inconclusive")


def test_the_judged_file_is_named_by_its_hash(real_outcomes: dict[str, Outcome]) -> None:
    """The hash of a file that was opened stands in the report, else none does."""
    outcome = real_outcomes["backdoored"]

    (known,) = _run(sarif_text(outcome))["artifacts"]
    (unknown,) = _run(sarif_text(real_outcomes["inconclusive"]))["artifacts"]

    assert outcome.result.evidence.artifact is not None
    assert known["hashes"] == {"sha-256": outcome.result.evidence.artifact.digest}
    assert "hashes" not in unknown


def test_fingerprints_are_the_same_in_the_next_run(
    make_outcome: Make, make_result: MakeResult
) -> None:
    """An alert stays one alert: its fingerprint depends on neither time, scores nor reasons."""
    first = make_outcome()
    verdict = replace(first.result.verdict, anomaly_score=4.2, reasons=("in other words",))
    later = make_outcome(
        result=make_result(verdict=verdict), moment=first.moment + timedelta(days=1)
    )
    elsewhere = make_outcome(result=make_result(model_uri="other.onnx"))

    prints = [
        _run(sarif_text(each))["results"][0]["partialFingerprints"]
        for each in (first, later, elsewhere)
    ]

    assert prints[0] == prints[1] != prints[2]


def test_graph_findings_and_policy_are_results(
    make_outcome: Make, make_artifact: Callable[..., Any], schema: Draft4Validator
) -> None:
    """A finding names its nodes and has a level by severity; a blocking policy is a result."""
    outcome = make_outcome(decision=GateDecision(action="block", reasons=("samples too old",)))
    artifact = make_artifact(
        findings=(
            GraphFinding(
                rule="branch-on-input", severity="blocking", message="an `If`", nodes=("n",)
            ),
            GraphFinding(rule="decision-gates-data", severity="note", message="a `Where`"),
        )
    )

    outcome = replace(outcome, result=with_evidence(outcome.result, artifact=artifact))

    text = sarif_text(outcome)

    schema.validate(json.loads(text))
    _check_for_github(text)
    results = _run(text)["results"]
    told = [(each["ruleId"], each["level"]) for each in results]
    assert told == [
        *(("backdoor", "error"), ("graph-logic", "error"), ("graph-logic", "note")),
        ("policy", "error"),
    ]
    assert results[1]["locations"][0]["logicalLocations"][0]["name"] == "n"
    assert len({str(each["partialFingerprints"]) for each in results}) == 4


def test_the_category_is_the_models_own(make_outcome: Make, make_result: MakeResult) -> None:
    """Reports of two models in one commit do not replace each other."""
    texts = [
        sarif_text(make_outcome(result=make_result(model_uri=uri))) for uri in ("a.onnx", "b.onnx")
    ]

    assert len({_run(text)["automationDetails"]["id"] for text in texts}) == 2


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_stay_names(
    make_outcome: Make, make_result: MakeResult, schema: Draft4Validator, name: str
) -> None:
    """The report stays valid, and no message holds a link."""
    text = sarif_text(outcome_named(make_result, make_outcome(), name))

    schema.validate(json.loads(text))
    _check_for_github(text)
    assert text.isascii()
    for result in _run(text)["results"]:
        assert not re.search(r"(?<!\\)\[", result["message"]["text"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(name=ANY_TEXT)
def test_any_name_stays_in_githubs_subset(
    make_outcome: Make, make_result: MakeResult, name: str
) -> None:
    """Every text that Python knows leaves the same three results."""
    text = sarif_text(outcome_named(make_result, make_outcome(), name))

    _check_for_github(text)
    assert len(_run(text)["results"]) == 3
