"""A class that has a name has it wherever it is spoken of, and the name is only text."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import pytest
from defusedxml import ElementTree

from pipeline.ci_formats.all_files import output_texts
from pipeline.ci_formats.checks import Outcome
from pipeline.ci_formats.step_summary import output_lines
from pipeline.evidence import ScanResult
from pipeline.printable import printable
from pipeline.report.figures import figures
from pipeline.report.html_page import render
from pipeline.report.recovered import recovered_text
from pipeline.report.verdict_json import class_table, summary, verdict_document
from stages.class_names import SHOWN
from tests.support.finished_scans import with_evidence
from tests.support.report_pages import Reader, with_names

Make = Callable[..., Outcome]
MakeResult = Callable[..., ScanResult]

NAMES = ("T-shirt", "trouser", "pullover", "sneaker", "bag")
HOSTILE = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x07",
    "a\nb | c",
    "[click](https://evil.example)",
    "]]></failure>",
    "\u202egnp",
    "{{ 7 * 7 }}",
    "'\"><img src=x>",
)


def _outputs(outcome: Outcome) -> dict[str, str]:
    """Every text in which the suspected class is named, as a reader gets it."""
    files = output_texts(outcome)
    return {
        "stdout": summary(outcome.result),
        "page": Reader(render(outcome.result)).prose,
        "Markdown": html.unescape(files["summary.md"]),
        "JUnit": files["junit.xml"],
        "SARIF": files["verdict.sarif"],
        "bill of materials": files["bom.cdx.json"],
        "step": output_lines(outcome),
        "verdict.json": json.dumps(verdict_document(outcome.result)),
        "figure": figures(outcome.result)["anomaly_score_per_class"],
        "success": recovered_text(outcome.result) or "",
    }


def test_the_suspected_class_has_its_name_in_every_output(
    make_outcome: Make, make_result: MakeResult
) -> None:
    """Beside its number, which programs still find alone."""
    outcome = make_outcome(result=with_names(make_result(), NAMES))

    outputs = _outputs(outcome)

    assert [name for name, text in outputs.items() if "sneaker" not in text] == []
    for name in ("stdout", "page", "success"):
        assert "class 3 (sneaker)" in outputs[name]
    document: dict[str, Any] = json.loads(outputs["verdict.json"])
    assert (document["suspected_class"], document["suspected_class_name"]) == (3, "sneaker")
    assert document["class_names"] == list(NAMES)
    assert "suspected-class=3\nsuspected-class-name=sneaker\n" in outputs["step"]
    assert class_table(outcome.result)["name"] == list(NAMES)


def test_every_class_has_its_name_in_the_page(make_result: MakeResult) -> None:
    """In the table of scores, and under the pictures."""
    chapters = Reader(render(with_names(make_result(), NAMES))).chapters

    assert all(f"{number} {name}" in chapters["Why"] for number, name in enumerate(NAMES))


def test_without_names_nothing_but_numbers_is_said(make_outcome: Make) -> None:
    """No output has an empty pair of brackets, and the name is null or empty."""
    outputs = _outputs(make_outcome())

    assert all("class 3 (" not in text.lower() for text in outputs.values())
    assert json.loads(outputs["verdict.json"])["suspected_class_name"] is None
    assert "suspected-class-name=\n" in outputs["step"]


def test_names_of_samples_and_of_the_file_count_in_this_order(make_result: MakeResult) -> None:
    """A file that states as many names as it has scores is believed until samples are read."""
    result = make_result()
    artifact = result.evidence.artifact
    assert artifact is not None
    stated = type(artifact)(**{**vars(artifact), "class_names": NAMES})

    assert with_evidence(result, artifact=stated, samples=None).evidence.class_names == NAMES
    assert with_evidence(result, artifact=stated).evidence.class_names == ()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_text(
    make_outcome: Make, make_result: MakeResult, name: str
) -> None:
    """Every output keeps its form, and no control character gets through."""
    plain = with_names(make_result(), NAMES)
    result = with_names(make_result(), (*NAMES[:3], name, NAMES[4]))
    outcome = make_outcome(result=result)

    outputs = _outputs(outcome)

    for output, text in outputs.items():
        assert all(each.isprintable() or each == "\n" for each in text), output
    assert Reader(render(result)).shape == Reader(render(plain)).shape
    assert summary(result).count("\n") == 0
    assert len(outputs["step"].splitlines()) == len(output_lines(make_outcome()).splitlines())
    for xml in (outputs["JUnit"], *figures(result).values()):
        ElementTree.fromstring(xml)
    assert outputs["figure"].count("<script") == 0
    assert printable(name)[:SHOWN] in outputs["page"]
    assert "](" not in json.loads(outputs["SARIF"])["runs"][0]["results"][0]["message"]["text"]


def test_a_long_name_is_cut_where_it_stands_beside_others(make_result: MakeResult) -> None:
    """The whole name is in `verdict.json` alone."""
    long = "W" * 200
    result = with_names(make_result(), (*NAMES[:3], long, NAMES[4]))

    assert long not in render(result)
    assert f"class 3 ({'W' * (SHOWN - 1)}…)" in summary(result)
    assert verdict_document(result)["class_names"][3] == long  # type: ignore[index] # a list
