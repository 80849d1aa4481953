"""A CycloneDX bill that the library's validator accepts and that claims no more than was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings

from pipeline.ci_formats.bill_of_materials import bom_text
from pipeline.ci_formats.checks import Outcome
from pipeline.evidence import ScanResult
from tests.support.hostile_names import ANY_TEXT, LABELS, NAMES, outcome_named

Make = Callable[..., Outcome]
MakeResult = Callable[..., ScanResult]


@pytest.fixture(scope="module")
def validator() -> JsonStrictValidator:
    """The validator of CycloneDX 1.6, formats included."""
    return JsonStrictValidator(SchemaVersion.V1_6)


def _model(text: str) -> Any:
    return json.loads(text)["metadata"]["component"]


@pytest.mark.parametrize("label", LABELS)
def test_real_scans_are_valid(
    real_outcomes: dict[str, Outcome], validator: JsonStrictValidator, label: str
) -> None:
    """The component is the model, with the verdict among its properties."""
    text = bom_text(replace(real_outcomes[label], run_url="https://host/#/experiments/0/runs/1"))

    assert validator.validate_str(text) is None
    model = _model(text)
    properties = {each["name"]: each["value"] for each in model["properties"]}
    assert model["type"] == "machine-learning-model"
    assert properties["ban-gate:verdict"] == label
    assert properties["ban-gate:reason:0"] == real_outcomes[label].reasons[0]
    assert model["externalReferences"][0]["url"] == "https://host/#/experiments/0/runs/1"


def test_the_validator_can_fail(make_outcome: Make, validator: JsonStrictValidator) -> None:
    """A bill with a wrong hash is refused: the laws here are checks."""
    document = json.loads(bom_text(make_outcome()))
    document["metadata"]["component"]["hashes"][0]["content"] = "no hash"

    assert validator.validate_str(json.dumps(document)) is not None


@pytest.mark.parametrize(
    ("label", "claimed"),
    [("clean", {"claims": 1}), ("backdoored", {"counterClaims": 0}), ("inconclusive", None)],
)
def test_the_claim_is_attested_only_if_it_was_found(
    real_outcomes: dict[str, Outcome], label: str, claimed: dict[str, int] | None
) -> None:
    """Clean supports the claim, backdoored counters it, and without a verdict nothing is said."""
    declarations = json.loads(bom_text(real_outcomes[label]))["declarations"]

    (attestation,) = declarations["attestations"]
    (claim,) = declarations["claims"]
    if claimed is None:
        assert attestation["map"] == []
        assert not {"evidence", "counterEvidence"} & set(claim)
    else:
        ((side, score),) = claimed.items()
        (mapped,) = attestation["map"]
        assert mapped[side] == [claim["bom-ref"]]
        assert mapped["conformance"]["score"] == score


def test_the_card_holds_what_was_measured(real_outcomes: dict[str, Outcome]) -> None:
    """Hash, tensors, samples and numbers of a judged model; a refused one has none of them."""
    outcome = real_outcomes["clean"]
    model, refused = _model(bom_text(outcome)), _model(bom_text(real_outcomes["inconclusive"]))

    artifact, samples = outcome.result.evidence.artifact, outcome.result.evidence.samples
    assert artifact is not None
    assert samples is not None
    assert model["hashes"] == [{"alg": "SHA-256", "content": artifact.digest}]
    parameters = model["modelCard"]["modelParameters"]
    assert artifact.input.name in parameters["inputs"][0]["format"]
    assert parameters["datasets"][0]["contents"]["properties"][0]["value"] == samples.digest
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert {each["type"] for each in metrics} == {
        "accuracy",
        "backdoor anomaly score",
        "backdoor critical value",
        "backdoor p-value",
    }
    assert "hashes" not in refused
    assert refused["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] == []


def test_a_bound_on_p_is_called_one(make_outcome: Make) -> None:
    """A p-value that is only known to be smaller stands as what it is at most."""
    metrics = _model(bom_text(make_outcome()))["modelCard"]["quantitativeAnalysis"]

    values = {each["type"]: each["value"] for each in metrics["performanceMetrics"]}

    assert values["backdoor p-value, at most"] == "0.015625"
    assert "backdoor p-value" not in values


def test_the_same_scan_gives_the_same_bill(make_outcome: Make) -> None:
    """Serial number and time follow from the outcome, and another scan has another number."""
    outcome = make_outcome()
    later = replace(outcome, moment=outcome.moment + timedelta(seconds=1))

    assert bom_text(outcome) == bom_text(replace(outcome))
    assert (
        json.loads(bom_text(outcome))["serialNumber"] != json.loads(bom_text(later))["serialNumber"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_stay_names(
    make_outcome: Make, make_result: MakeResult, validator: JsonStrictValidator, name: str
) -> None:
    """No name breaks the bill, and the model always has one."""
    outcome = outcome_named(make_result, make_outcome(), name)

    text = bom_text(outcome)

    assert validator.validate_str(text) is None
    assert _model(text)["name"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(name=ANY_TEXT)
def test_any_name_is_strict_json(make_outcome: Make, make_result: MakeResult, name: str) -> None:
    """Every text that Python knows leaves one printable component."""
    text = bom_text(outcome_named(make_result, make_outcome(), name))

    model = json.loads(text, parse_constant=pytest.fail)["metadata"]["component"]
    assert all(each["value"].isprintable() for each in model["properties"])
