"""What a pipeline is told of a scan: fail closed, and with names that stay names."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import pytest
from hostile_names import ANY_TEXT, NAMES
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gate import GateDecision
from pipeline.outcome import ADVICE, Outcome, checks, relative_location
from pipeline.result import Evidence, ScanResult
from stages.types import GraphFinding, Verdict

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
        *("inspect_onnx", "read_samples", "prove_conversion", "check_preconditions"),
        *("graph_logic", "judge"),
    ]
    assert {each.status for name, each in found.items() if name != "judge"} == {"passed"}
    assert found["judge"].seconds == 12.75


def test_a_scan_that_ended_early_passes_nothing(refused: ScanResult, make_outcome: Make) -> None:
    """The step it ended at is an error, as is the verdict; nothing later passes."""
    outcome = make_outcome(result=refused)

    assert list(_statuses(outcome).values()) == [
        *("error", "skipped", "skipped", "skipped", "skipped", "error")
    ]
    assert checks(outcome)[0].message == "`model.onnx` is not ONNX; export it again"


def test_samples_that_are_refused_leave_the_file_passed(
    make_outcome: Make, make_result: MakeResult, evidence: Evidence
) -> None:
    """Only the first step that was not reached is to blame."""
    verdict = Verdict(label="inconclusive", reasons=("`images` is empty",))
    partial = Evidence(artifact=evidence.artifact)

    found = _statuses(make_outcome(result=make_result(verdict=verdict, evidence=partial)))

    assert found["inspect_onnx"] == found["graph_logic"] == "passed"
    assert found["read_samples"] == "error"
    assert found["prove_conversion"] == "skipped"


def test_blocking_graph_logic_fails_its_check(
    make_outcome: Make,
    make_result: MakeResult,
    make_artifact: Callable[..., object],
    evidence: Evidence,
) -> None:
    """A blocking finding is a failure, a warning is not."""
    for severity, status in (("blocking", "failed"), ("warning", "passed")):
        finding = GraphFinding(rule="r", severity=severity, message="m")  # type: ignore[arg-type] # a severity
        evidence.artifact = make_artifact(findings=(finding,))  # type: ignore[assignment] # one

        found = _statuses(make_outcome(result=make_result(evidence=evidence)))

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
