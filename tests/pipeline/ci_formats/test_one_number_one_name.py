"""One number has one name in every output, and no name stands for two numbers."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from defusedxml import ElementTree

from pipeline.ci_formats.checks import Outcome
from pipeline.ci_formats.junit import junit_text
from pipeline.ci_formats.sarif import sarif_text
from pipeline.ci_formats.step_summary import annotation, output_lines, summary_text
from pipeline.evidence import ScanResult
from pipeline.report.html_page import render
from pipeline.report.verdict_json import summary, verdict_document, verdict_text
from pipeline.report.wording import p_text, score_text
from stages.types import Verdict
from tests.support.finished_scans import with_evidence, with_permutation
from tests.support.report_pages import Reader

Make = Callable[..., Outcome]

LABELS = ("clean", "backdoored")
NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)"


def _page(result: ScanResult) -> str:
    """The text of the page that people meet, also what is read to them."""
    reader = Reader(render(result))
    return " ".join([reader.prose, *reader.spoken])


def _for_people(outcome: Outcome) -> dict[str, str]:
    """The outputs that are read, as they are shown."""
    return {
        "stdout": summary(outcome.result),
        "HTML": _page(outcome.result),
        "Markdown": re.sub(r"</?code>", "", html.unescape(summary_text(outcome))),
        "annotation": annotation(outcome),
        "reasons": " ".join(outcome.reasons),
    }


def _for_programs(outcome: Outcome) -> dict[str, str]:
    return {
        "verdict.json": verdict_text(verdict_document(outcome.result)),
        "JUnit": junit_text(outcome),
        "SARIF": sarif_text(outcome),
        "outputs": output_lines(outcome),
    }


def _numbers(outcome: Outcome, name: str) -> dict[str, str]:
    """A number of the verdict, such as `p_value`, as each output for programs writes it."""
    texts = _for_programs(outcome)
    properties = ElementTree.fromstring(texts["JUnit"]).iter("property")
    junit = {each.attrib["name"]: each.attrib["value"] for each in properties}
    outputs = dict(line.split("=", 1) for line in texts["outputs"].splitlines())
    (first, *_) = json.loads(texts["SARIF"])["runs"][0]["results"]
    return {
        "verdict.json": str(json.loads(texts["verdict.json"])[name]),
        "JUnit": junit[name],
        "SARIF": str(first["properties"][name]),
        "outputs": outputs[name.replace("_", "-")],
    }


@pytest.fixture
def outcomes(real_outcomes: dict[str, Outcome], make_outcome: Make) -> list[Outcome]:
    """Judged models: real ones, one built by hand, one whose p-value is no bound, and one whose
    classes are permuted.
    """
    built = make_outcome()
    verdict = replace(
        built.result.verdict,
        p_value=0.0321,
        p_is_bound=False,
        reasons=("class 3 stands out (anomaly score 5.12, critical value 1.69, p = 0.032)",),
    )
    unbound = replace(built, result=replace(built.result, verdict=verdict))
    permuted = replace(built, result=with_permutation(built.result))
    return [*(real_outcomes[label] for label in LABELS), built, unbound, permuted]


@pytest.mark.parametrize("name", ["anomaly_score", "critical_value", "p_value"])
def test_programs_read_the_same_number(outcomes: list[Outcome], name: str) -> None:
    """`verdict.json`, JUnit, SARIF and the step's outputs hold it exactly."""
    for outcome in outcomes:
        exact = getattr(outcome.result.verdict, name)
        assert set(map(float, _numbers(outcome, name).values())) == {exact}


@pytest.mark.parametrize(
    ("name", "words"), [("anomaly_score", "anomaly score"), ("critical_value", "critical value")]
)
def test_people_read_the_same_number(outcomes: list[Outcome], name: str, words: str) -> None:
    """Wherever the words stand with a number, it is that of the model, with as many digits."""
    for outcome in outcomes:
        shown = score_text(getattr(outcome.result.verdict, name))
        for output, text in _for_people(outcome).items():
            found = re.findall(rf"{words}(?: of)?:? {NUMBER}", text, re.IGNORECASE)
            assert set(found) == {shown}, output


def test_the_page_shows_what_its_exact_numbers_round_to(outcomes: list[Outcome]) -> None:
    """The figure at the top of the page is the number of `verdict.json`."""
    for outcome in outcomes:
        verdict, data = outcome.result.verdict, Reader(render(outcome.result)).data
        assert verdict.anomaly_score is not None
        assert verdict.p_value is not None
        assert data[:2] == [
            (verdict.p_value, p_text(verdict.p_value, verdict.p_is_bound)),
            (verdict.anomaly_score, score_text(verdict.anomaly_score)),
        ]


def test_nothing_is_called_just_a_score(outcomes: list[Outcome], refused: ScanResult) -> None:
    """The one score there is has its full name in every output."""
    nothing = replace(outcomes[0], result=refused)
    for outcome in (*outcomes, nothing):
        for output, text in {**_for_people(outcome), **_for_programs(outcome)}.items():
            bare = re.findall(r"(?<!anomaly[ _-])\bscores?\b", text, re.IGNORECASE)
            assert bare == [], output


def test_a_bound_on_p_is_written_as_one(outcomes: list[Outcome]) -> None:
    """People read `< 0.016` wherever it stands, programs are told that it is a bound."""
    for outcome in outcomes:
        verdict = outcome.result.verdict
        shown = p_text(verdict.p_value, is_bound=False)
        for output, text in _for_people(outcome).items():
            before = re.findall(rf"(\S+) {re.escape(shown)}(?![0-9])", text)
            assert before, output
            assert {each == "<" for each in before} == {verdict.p_is_bound}, output
        flags = {each.lower() for each in _numbers(outcome, "p_is_bound").values()}
        assert flags == {str(verdict.p_is_bound).lower()}


def test_the_success_of_the_recovered_trigger_stands_with_its_samples(
    outcomes: list[Outcome],
) -> None:
    """In `verdict.json` and SARIF as numbers, in HTML and Markdown in one sentence."""
    for outcome in outcomes:
        people, programs = _for_people(outcome), _for_programs(outcome)
        searches: dict[str, Any] = json.loads(programs["verdict.json"])["searches"]
        (first, *_) = json.loads(programs["SARIF"])["runs"][0]["results"]
        sarif = first["properties"]["recovered_triggers"]
        for name, found in outcome.result.evidence.searches.items():
            success = found.success
            assert (name in sarif) == bool(success and found.targets)
            if success is None or not found.targets:
                continue
            for held in (searches[name]["trigger"], sarif[name]):
                assert held["attack_success_rate"] == success.rate
                assert held["samples"] == success.samples
                assert held["inside_twin"] == success.inside_twin == (name == "neuron_noise")
            verb = "carries" if found.permuted else "turns"
            sentence = f"{verb} {success.rate:.0%} of {success.samples} clean images"
            assert sentence in people["HTML"]
        suspected = outcome.result.verdict.suspected_class
        assert (f"clean images of other classes into class {suspected}" in people["Markdown"]) == (
            suspected is not None
        )


def test_noise_is_said_to_act_inside_the_twin(make_outcome: Make) -> None:
    """Where neuron noise alone leads to the class, no output claims a trigger in the image."""
    result = make_outcome().result
    noise = result.evidence.searches["neuron_noise"]
    others = {
        name: replace(each, targets=(1,), mapping=None)
        for name, each in result.evidence.searches.items()
    }
    result = with_evidence(result, searches={**others, "neuron_noise": noise})

    recovered = Reader(render(result)).chapters["The recovered trigger"]
    markdown = _for_people(make_outcome(result=result))["Markdown"]

    for text in (recovered, markdown):
        assert "noise, inside the twin, turns 88% of 24 clean images" in text
        assert "the recovered trigger turns" not in text.lower()


def test_a_model_that_was_not_judged_has_no_number_anywhere(
    make_outcome: Make, refused: ScanResult
) -> None:
    """No output gives a score, a critical value or a p-value for it."""
    assert refused.verdict == Verdict(label="inconclusive", reasons=refused.verdict.reasons)
    outcome = make_outcome(result=refused)

    for output, text in _for_people(outcome).items():
        assert not re.search(rf"(anomaly score|critical value|\bp)[ :=<]+{NUMBER}", text), output
    (first, *_) = json.loads(sarif_text(outcome))["runs"][0]["results"]
    assert "properties" not in first
    assert "anomaly_score" not in junit_text(outcome)
    assert "anomaly-score=\ncritical-value=\np-value=\np-is-bound=\n" in output_lines(outcome)
