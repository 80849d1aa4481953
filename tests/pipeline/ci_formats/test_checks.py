"""What a pipeline is told of a scan: fail closed, and with names that stay names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ci_formats.checks import ADVICE, Outcome, checks, relative_location
from pipeline.evidence import Evidence, ScanResult
from pipeline.gate.decision import GateDecision
from pipeline.steps import STEPS
from stages.types import GraphFinding, Verdict
from tests.support.finished_scans import ended_at, with_evidence
from tests.support.hostile_names import ANY_TEXT, NAMES

Make = Callable[..., Outcome]
MakeResult = Callable[..., ScanResult]


def _statuses(outcome: Outcome) -> dict[str, str]:
    return {check.stage: check.status for check in checks(outcome)}


@pytest.mark.parametrize("label", ["clean", "backdoored", "inconclusive"])
def test_only_clean_passes_where_no_policy_decides(
    make_outcome: Make, make_result: MakeResult, label: str
) -> None:
    """The action follows the verdict, and every label has advice."""
    verdict = Verdict(label=label, reasons=("because",))  # type: ignore[arg-type] # a label

    outcome = make_outcome(result=make_result(verdict=verdict))

    assert outcome.action == ("pass" if label == "clean" else "block")
    assert _statuses(outcome)["judge"] == {"clean": "passed", "backdoored": "failed"}.get(
        label, "error"
    )
    assert ADVICE[label]


def test_a_policy_outranks_the_verdict(make_outcome: Make) -> None:
    """A gate's decision is the action, its reasons come first, and it is a check of its own."""
    decision = GateDecision(action="pass", reasons=("waived until 2027-01-01",))

    outcome = make_outcome(decision=decision)

    assert outcome.action == "pass"
    assert outcome.reasons[0] == "waived until 2027-01-01"
    assert _statuses(outcome)["gate"] == "passed"
    assert _statuses(outcome)["judge"] == "failed"


def test_a_full_scan_has_every_check(make_outcome: Make) -> None:
    """Steps that were reached passed; the time of the search is the verdict's."""
    found = {check.stage: check for check in checks(make_outcome())}

    assert list(found) == [
        *("inspect_onnx", "read_samples", "build_twin", "check_preconditions"),
        *("compare_decisions", "graph_logic", "judge"),
    ]
    assert {each.status for name, each in found.items() if name != "judge"} == {"passed"}
    assert found["build_twin"].seconds == 0.5
    assert found["judge"].seconds == 12.25


def test_claims_are_those_of_the_steps_in_their_order(
    make_outcome: Make, refused: ScanResult
) -> None:
    """Whatever was reached, the checks before the verdict are the table's."""
    claims = [step.claim for step in STEPS if step.claim]

    for outcome in (make_outcome(), make_outcome(result=refused)):
        assert [each.claim for each in checks(outcome)][: len(claims)] == claims


def test_a_scan_that_ended_early_passes_nothing(refused: ScanResult, make_outcome: Make) -> None:
    """The step it ended at is an error, as is the verdict; nothing later passes."""
    outcome = make_outcome(result=refused)

    assert list(_statuses(outcome).values()) == [
        *("error", "skipped", "skipped", "skipped", "skipped", "skipped", "error")
    ]
    assert checks(outcome)[0].message == "`model.onnx` is not ONNX; export it again"


def test_samples_that_are_refused_leave_the_file_passed(
    make_outcome: Make, make_result: MakeResult
) -> None:
    """Only the first step that was not reached is to blame."""
    found = _statuses(make_outcome(result=ended_at(make_result(), "read_samples")))

    assert found["inspect_onnx"] == found["graph_logic"] == "passed"
    assert found["read_samples"] == "error"
    assert found["build_twin"] == "skipped"


def test_a_model_that_does_not_do_its_task_fails_no_other_check(
    make_outcome: Make, make_result: MakeResult, evidence: Evidence
) -> None:
    """The step ran and its result stands, yet the check is an error, as is the verdict."""
    assert evidence.precondition is not None
    weak = replace(evidence.precondition, reasons=("too few samples",))
    result = ended_at(make_result(), "measure_sites")

    found = _statuses(make_outcome(result=with_evidence(result, precondition=weak)))

    assert found["build_twin"] == "passed"
    assert found["check_preconditions"] == found["judge"] == "error"


def test_blocking_graph_logic_fails_its_check(
    make_outcome: Make,
    make_result: MakeResult,
    make_artifact: Callable[..., object],
) -> None:
    """A blocking finding is a failure, a warning is not."""
    for severity, status in (("blocking", "failed"), ("warning", "passed")):
        finding = GraphFinding(rule="r", severity=severity, message="m")  # type: ignore[arg-type] # a severity
        artifact = make_artifact(findings=(finding,))

        result = with_evidence(make_result(), artifact=artifact)
        found = _statuses(make_outcome(result=result))

        assert found["graph_logic"] == status


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("model.onnx", "model.onnx"),
        ("./a/../models/net.onnx", "models/net.onnx"),
        ("/repo/models/my net.onnx", "models/my%20net.onnx"),
        ("/elsewhere/net.onnx", "net.onnx"),
        ("../net.onnx", "net.onnx"),
        ("models:/name/3", "models/name/3"),
        ("net.py:build", "net.py%3Abuild"),
        ("", "model"),
        ("/", "model"),
    ],
)
def test_locations_are_relative_and_stable(uri: str, location: str) -> None:
    """Inside the root the path is kept; outside, only the name."""
    assert relative_location(uri, "/repo") == location


@given(uri=ANY_TEXT, root=st.sampled_from(["/repo", "/", "."]))
def test_every_location_is_a_relative_uri_reference(uri: str, root: str) -> None:
    """Whatever the name: no scheme, host, query, fragment, way up, or character to escape."""
    location = relative_location(uri, root)

    parts = urlsplit(location)
    assert parts.path == location != ""
    assert not location.startswith("/")
    assert ".." not in unquote(location).split("/")
    assert location.isascii()
    assert location.isprintable()


@pytest.mark.parametrize("name", NAMES)
def test_reasons_are_one_printable_line(
    make_outcome: Make, make_result: MakeResult, name: str
) -> None:
    """No reason can break a line, whoever wrote it."""
    verdict = Verdict(label="backdoored", reasons=(name,))

    (reason,) = make_outcome(result=make_result(verdict=verdict)).reasons

    assert reason.isprintable()
