"""`verdict.json` follows its JSON Schema, which says of every key what it means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.config import load_config
from pipeline.evidence import Evidence, ReferenceSummary, ScanResult
from pipeline.intake.native import ExportResult
from pipeline.report.verdict_json import verdict_document, verdict_text
from pipeline.steps import STEPS
from stages.searches import STATISTICS
from stages.types import GraphFinding
from stages.verdict.decide import apply_findings, judge
from stages.verdict.profile import ClassProfile
from stages.verdict.settings import JudgeConfig
from stages.verdict.vetting import Vetted
from tests.support.finished_scans import ended_at, with_evidence, with_permutation
from tests.support.verdict_schema import SCHEMA, faults, validator

Make = Callable[..., ScanResult]

NUMBERS = ("anomaly_score", "critical_value", "p_value", "p_is_bound")
CLOSED = (
    (),
    ("model",),
    ("samples",),
    ("parity",),
    ("searches", "blend"),
    ("searches", "blend", "statistics", "margin"),
    ("searches", "blend", "trigger"),
    ("searches", "blend", "effort"),
    ("published", "feature_mask"),
)
"""Levels of a document whose keys are all named by the schema."""


def _document(result: ScanResult) -> Any:
    """The document as another program reads it."""
    return json.loads(verdict_text(verdict_document(result)))


def _level(document: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        document = document[key]
    return document


def test_the_schema_is_valid_and_has_no_address() -> None:
    """Draft 2020-12 accepts it, and nobody has to ask a server for it."""
    Draft202012Validator.check_schema(validator().schema)

    assert validator().schema["$id"] == "urn:ban-gate:verdict:2"
    assert SCHEMA.read_text(encoding="utf-8").count("://") == 1  # that of the draft itself


def test_every_property_is_explained() -> None:
    """Each has a title and a sentence; what is closed names all its keys as required."""
    for place, each in _described(validator().schema, "$"):
        assert each.get("title"), place
        assert each.get("description", "").endswith("."), place
        if each.get("additionalProperties") is False and place != "$.published":
            assert set(each["required"]) == set(each["properties"]), place


def _described(schema: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every part of the schema that says what something is, with its place."""
    if "$ref" in schema:
        return
    yield place, schema
    for name, each in {**schema.get("properties", {}), **schema.get("$defs", {})}.items():
        yield from _described(each, f"{place}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from _described(schema[name], f"{place}.{name}")


@pytest.mark.parametrize("name", ["clean", "backdoored", "inconclusive", "refused"])
def test_real_scans_follow_it(real_scans: dict[str, ScanResult], name: str) -> None:
    """Clean, backdoored, not judged, and refused before anything was known."""
    assert faults(_document(real_scans[name])) == []


@pytest.mark.parametrize("step", [each.name for each in STEPS])
def test_a_scan_that_ended_anywhere_follows_it(make_result: Make, step: str) -> None:
    """Whatever was reached, every key is there."""
    assert faults(_document(ended_at(make_result(), step))) == []


def test_a_scan_with_everything_follows_it(make_result: Make, evidence: Evidence) -> None:
    """An exported model with a reference, findings, and searches of many and of all targets."""
    assert evidence.artifact is not None
    assert evidence.parity is not None
    finding = GraphFinding(rule="r", severity="blocking", message="m", nodes=("n",))
    reference = ReferenceSummary(
        uri="a", digest="ab" * 32, verdict="clean", p_value=0.4, p_is_bound=False, used=True
    )
    patch = replace(evidence.searches["patch"], targets=(3, 1))
    result = with_evidence(
        make_result(config=load_config(None, ("published_ban.enabled=true",))),
        artifact=replace(evidence.artifact, findings=(finding,)),
        export=ExportResult(
            path=evidence.artifact.path,
            framework="keras",
            packages={"keras": "3.9"},
            parity=evidence.parity,
        ),
        references=(reference,),
        searches={**evidence.searches, "patch": patch},
    )
    result = with_permutation(result)

    assert faults(_document(result)) == []


@given(data=st.data(), classes=st.integers(4, 30), rate=st.floats(0.001, 0.999))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
def test_whatever_the_judge_says_follows_it(
    make_result: Make, data: st.DataObject, classes: int, rate: float
) -> None:
    """Any statistics, any false-alarm rate, any finding in the graph."""
    values = st.lists(
        st.floats(-50, 50, width=32), min_size=classes, max_size=classes, unique=False
    )
    statistics = {name: np.array(data.draw(values), np.float32) for name in STATISTICS}
    profile = ClassProfile(
        name="m",
        digest="ab",
        samples="cd",
        clean_accuracy=1.0,
        side=data.draw(st.integers(1, 300)),
        ordinary=np.arange(classes),
        statistics=statistics,
    )
    severities = data.draw(st.lists(st.sampled_from(["note", "warning", "blocking"]), max_size=2))
    findings = tuple(GraphFinding(rule="r", severity=each, message="m") for each in severities)
    result = make_result()
    assert result.evidence.artifact is not None

    verdict = judge(
        profile,
        Vetted(kept=(), remarks=()),
        result.config.calibration,
        JudgeConfig(false_alarm_rate=rate),
    )
    result = replace(
        with_evidence(result, artifact=replace(result.evidence.artifact, findings=findings)),
        verdict=apply_findings(findings, verdict),
    )

    assert faults(_document(result)) == []


@pytest.mark.parametrize("place", CLOSED, ids=".".join)
def test_a_key_more_or_less_is_a_fault(make_result: Make, place: tuple[str, ...]) -> None:
    """At every level that the schema names, whichever key it is."""
    document = _document(make_result())
    for key in _level(document, place):
        fewer = deepcopy(document)
        del _level(fewer, place)[key]
        assert faults(fewer), key
    _level(document, place)["more"] = 1
    assert faults(document)


@pytest.mark.parametrize("label", ["clean", "backdoored"])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_judged_model_has_its_four_numbers(
    real_scans: dict[str, ScanResult], label: str, number: str
) -> None:
    """None of them may be null where the score decided."""
    document = _document(real_scans[label])
    assert document[number] is not None

    assert faults({**document, number: None})


def test_a_model_that_was_not_judged_has_none_of_them(
    make_result: Make, refused: ScanResult
) -> None:
    """Neither a number nor a suspected class stands beside `inconclusive`."""
    document, judged = _document(refused), _document(make_result())

    for name in ("anomaly_score", "critical_value", "p_value", "suspected_class"):
        assert faults({**document, name: judged[name]}), name
    assert faults({**judged, "verdict": "inconclusive"})


def test_backdoored_without_a_class_needs_logic_in_the_graph(make_result: Make) -> None:
    """A block always has its cause in the document, and a clean model has none."""
    document = _document(make_result())
    finding = {"rule": "r", "severity": "blocking", "message": "m", "nodes": []}

    assert faults({**document, "suspected_class": None})
    assert not faults({**document, "suspected_class": None, "graph_findings": [finding]})
    clean = {**document, "verdict": "clean", "suspected_class": None}
    assert not faults(clean)
    assert faults({**clean, "graph_findings": [finding]})
    assert faults({**clean, "suspected_class": 3})


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ((), "schema", 1),
        ((), "verdict", "Clean"),
        ((), "p_value", 0.0),
        ((), "p_value", 1.5),
        ((), "anomaly_score", -0.1),
        ((), "suspected_class", -1),
        ((), "time", "yesterday"),
        (("samples",), "clean_accuracy", 1.01),
        (("model",), "digest", "no digest"),
        (("searches", "blend"), "target", "3"),
        (("searches", "blend", "trigger"), "attack_success_rate", 95),
        (("searches", "blend", "trigger"), "samples", 0),
    ],
)
def test_a_value_out_of_its_range_is_a_fault(
    make_result: Make, place: tuple[str, ...], key: str, value: object
) -> None:
    """Ranges and types are checked, not only said."""
    document = _document(make_result())
    assert faults(document) == []

    _level(document, place)[key] = value

    assert faults(document)
