"""JUnit XML that the schema of Jenkins accepts and that never shows a scan greener than it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import xmlschema
from defusedxml import ElementTree
from hypothesis import HealthCheck, given, settings
from junitparser import JUnitXml

from pipeline.ci_formats.checks import Outcome, checks
from pipeline.ci_formats.junit import junit_text
from pipeline.evidence import ScanResult
from tests.support.hostile_names import ANY_TEXT, NAMES, outcome_named
from tests.support.places import SCHEMAS

Make = Callable[..., Outcome]
MakeResult = Callable[..., ScanResult]


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    """The schema of Jenkins' xUnit plugin."""
    return xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd"))


def _cases(text: str) -> list[Any]:
    (suite,) = JUnitXml.fromstring(text)
    return list(suite)


@pytest.mark.parametrize(
    ("label", "failures", "errors"),
    [("clean", 0, 0), ("backdoored", 1, 0), ("inconclusive", 0, 2)],
)
def test_real_scans_are_valid_and_count_right(
    real_outcomes: dict[str, Outcome],
    schema: xmlschema.XMLSchema,
    label: str,
    failures: int,
    errors: int,
) -> None:
    """Schema-valid; a backdoor is one failure, a refusal an error, clean neither."""
    text = junit_text(real_outcomes[label])

    schema.validate(text)
    (suite,) = JUnitXml.fromstring(text)
    assert (suite.failures, suite.errors) == (failures, errors)
    assert suite.tests == len(checks(real_outcomes[label])) == 7
    assert suite.name == real_outcomes[label].result.model_uri
    verdicts = {each.name: each.value for each in suite.properties()}
    assert verdicts["verdict"] == label
    assert verdicts["gate"] == ("pass" if label == "clean" else "block")


def test_an_inconclusive_verdict_is_never_passed_or_skipped(
    real_outcomes: dict[str, Outcome],
) -> None:
    """The test case of the verdict is an error that says why."""
    judge = _cases(junit_text(real_outcomes["inconclusive"]))[-1]

    assert judge.classname == "ban-gate.judge"
    assert judge.is_error
    assert not judge.is_skipped
    assert "not an ONNX file" in judge.result[0].message


def test_totals_stand_at_the_root(make_outcome: Make) -> None:
    """Readers that look only at `testsuites` see the failure."""
    root = ElementTree.fromstring(junit_text(make_outcome()))

    assert root.attrib["failures"] == "1"
    assert root.attrib["tests"] == "7"
    assert root.attrib["time"] == "12.75"


def test_the_same_scan_gives_the_same_text(make_outcome: Make) -> None:
    """Nothing is drawn or read from a clock."""
    outcome = make_outcome()

    assert junit_text(outcome) == junit_text(replace(outcome))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_stay_names(
    make_outcome: Make, make_result: MakeResult, schema: xmlschema.XMLSchema, name: str
) -> None:
    """No name adds a test case or breaks the XML."""
    text = junit_text(outcome_named(make_result, make_outcome(), name))

    schema.validate(text)
    assert len(_cases(text)) == 8
    assert "\n" not in text.rstrip("\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(name=ANY_TEXT)
def test_any_name_is_well_formed(make_outcome: Make, make_result: MakeResult, name: str) -> None:
    """Every text that Python knows leaves the same seven test cases."""
    text = junit_text(outcome_named(make_result, make_outcome(), name))

    assert len(ElementTree.fromstring(text.encode()).findall("testsuite/testcase")) == 8
