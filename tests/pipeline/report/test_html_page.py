"""The page tells the verdict to people, whatever the scan came to and whatever names it meets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import load_config
from pipeline.evidence import ScanResult
from pipeline.intake.native import ExportResult
from pipeline.printable import printable
from pipeline.report import html_page, sections
from pipeline.report.html_page import render
from pipeline.report.verdict_json import verdict_document
from stages.searches import SPECS, STATISTICS
from stages.types import GraphFinding, Statistic, Verdict
from tests.support.finished_scans import with_evidence
from tests.support.report_pages import GATE, Reader, named, page_in

Make = Callable[..., ScanResult]

HOSTILE = [
    "<script>document.title = 'run'</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "{{ 7 * 7 }} {% raw %} %s {0} ${x}",
    "</style></title></svg></table><iframe src=//example.org>",
    "javascript:alert(1)",
    "\x1b[2J\x07\x00",
    "\u202egnp.exe\u2028\u2029\x85",
    "lone \udcff surrogate",
    "W" * 400,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_changes_nothing_but_text(make_result: Make, name: str) -> None:
    """The page has the elements, attributes and links it has with a plain name, and the name."""
    plain, hostile = (named(make_result(), each) for each in ("plain", name))

    usual, page = (Reader(render(*each)) for each in (plain, hostile))

    assert page.shape == usual.shape
    assert printable(name) in "".join(page.text)
    assert all(each.isprintable() or each == "\n" for each in "".join(page.text))
    assert render(*hostile).encode()


@pytest.mark.parametrize("name", ["backdoored", "clean"])
def test_every_anomaly_score_is_in_the_table(real_scans: dict[str, ScanResult], name: str) -> None:
    """The table beside the chart holds the scores of `verdict.json`, exactly and in order."""
    document = json.loads(json.dumps(verdict_document(real_scans[name])))

    shown = Reader(render(real_scans[name])).scores

    assert shown == document["class_scores"]
    assert len(shown) == 10


def test_the_table_says_where_a_number_is_none(make_result: Make) -> None:
    """What JSON has as null has a dash, and the numbers beside it stay."""
    scores = (0.5, float("nan"), float("inf"), 2.0, 1.0)

    page = render(make_result(verdict=replace(make_result().verdict, class_scores=scores)))

    assert Reader(page).scores == [0.5, 2.0, 1.0]
    assert page.count('<td class="number score"><span class="faint">–</span>') == 2


@pytest.mark.parametrize("classes", [2, 21, 1000])
def test_any_number_of_classes_has_a_page(
    refused: ScanResult, make_result: Make, classes: int
) -> None:
    """A row per class, and a chart whose labels still have room; nothing else need be known."""
    values = np.linspace(0, 5, classes, dtype=np.float32)
    verdict = replace(
        make_result().verdict,
        class_scores=tuple(values.tolist()),
        statistics=(Statistic.of("blend.margin", "logit gaps", values),),
        published=(),
    )

    found = sections.scores(replace(refused, verdict=verdict))
    page = Reader(render(replace(refused, verdict=verdict)))

    assert page.scores == values.tolist()
    assert found is not None
    assert len(found.chart.x_ticks) <= 20


@pytest.mark.parametrize(
    ("name", "heading", "meaning"),
    [
        ("backdoored", "Backdoored: class 7", "Do not use this model"),
        ("clean", "No backdoor found", "does not prove that there is none"),
        ("inconclusive", "No verdict", "not a pass"),
        ("refused", "No verdict", "not a pass"),
    ],
)
def test_the_verdict_is_said_in_plain_words(
    real_scans: dict[str, ScanResult], name: str, heading: str, meaning: str
) -> None:
    """The answer and what it means; a model that was not judged is never called free of one."""
    text = Reader(render(real_scans[name])).prose

    assert heading in text
    assert meaning in text
    assert ("No backdoor found" in text) == (name == "clean")
    assert printable(real_scans[name].verdict.reasons[0])[1:].replace("`", "") in text


def test_scores_without_a_judgement_are_no_anomaly_score_of_the_model(make_result: Make) -> None:
    """Where the searches had too little power, no figure of the page claims otherwise."""
    full = make_result().verdict
    thin = Verdict(
        label="inconclusive",
        reasons=("the search has too little power here",),
        class_scores=full.class_scores,
        statistics=full.statistics,
    )

    text = Reader(render(make_result(verdict=thin))).prose

    assert "p-value – not computed Anomaly score – not computed" in text
    assert "critical value" not in text


def test_no_reason_is_needed(refused: ScanResult) -> None:
    """A verdict without a reason, and a scan without environment, still have a page."""
    bare = replace(refused, verdict=Verdict(label="inconclusive", reasons=()), environment={})

    assert "No reason is known" in render(bare)


def test_logic_in_the_graph_is_named_as_the_cause(make_result: Make) -> None:
    """A file that is blocked for its graph says so, and names no class that was not found."""
    result = make_result(verdict=Verdict(label="backdoored", reasons=("the graph decides",)))
    assert result.evidence.artifact is not None
    finding = GraphFinding(
        rule="input-bypass", severity="blocking", message="an `If`", nodes=("trap",)
    )
    artifact = replace(result.evidence.artifact, findings=(finding,))

    text = "".join(Reader(render(with_evidence(result, artifact=artifact))).text)

    assert "The graph itself decides" in text
    assert "class None" not in text
    assert "trap" in text


def test_an_exported_model_is_compared_with_its_origin(make_result: Make) -> None:
    """The page says how far the ONNX is from the native model."""
    result = make_result()
    assert result.evidence.parity is not None
    assert result.evidence.artifact is not None
    export = ExportResult(
        path=result.evidence.artifact.path,
        framework="keras",
        packages={"keras": "3.9"},
        parity=replace(result.evidence.parity, max_rel=0.000125),
    )

    text = Reader(render(with_evidence(result, export=export))).prose

    assert "differs from it by at most 0.000125 of the largest logit" in text
    assert "keras" in text


@pytest.mark.parametrize(
    ("p", "is_bound", "meaning"),
    [
        (0.6, False, "most clean models show as much"),
        (0.25, False, "about 1 in 4 clean models shows as much"),
        (0.0001, False, "about 1 in 10,000 clean models shows as much"),
        (1 / 64, True, "fewer than 1 in 64 clean models show as much"),
    ],
)
def test_a_p_value_is_explained_in_plain_words(
    make_result: Make, p: float, is_bound: bool, meaning: str
) -> None:
    """What a p-value means stands below it, also at its ends."""
    verdict = replace(make_result().verdict, p_value=p, p_is_bound=is_bound)

    assert meaning in render(make_result(verdict=verdict))


@pytest.mark.parametrize("outside", ["", "1000 classes, images of 224 pixels"])
def test_a_p_value_from_outside_of_the_calibration_is_called_an_extrapolation(
    make_result: Make, outside: str
) -> None:
    """In one line beside it, with the respect in which the model is unlike; else nothing is."""
    verdict = replace(make_result().verdict, outside=outside)

    page = Reader(render(make_result(verdict=verdict))).prose

    assert ("an extrapolation: the calibration models" in page) == bool(outside)
    if outside:
        assert f"models were unlike this one ({outside})" in page


def test_classes_that_were_not_searched_have_a_dash(make_result: Make) -> None:
    """The table has no number of them, and the page says why their bars are missing."""
    values = np.float32([np.nan, -0.5, np.nan, 1.5, -0.25])
    one = Statistic.of("patch.standardised_margin", "standard deviations", values)
    verdict = replace(make_result().verdict, statistics=(one,), published=())
    sentence = "A class without a bar was not searched to the end"

    page = render(make_result(verdict=verdict))

    assert sentence in page
    table = page[page.index("What each search says of every class</caption>") :]
    assert table.count('<td class="number"><span class="faint">–</span>') == 2
    assert sentence not in render(make_result())


def test_what_is_said_of_the_whole_model_accuses_no_class(make_result: Make) -> None:
    """A statistic that is the same for all classes has no highest one, and no bar is marked."""
    found = {each.statistic.name: each for each in sections.statistics(make_result())}
    page = Reader(render(make_result())).prose

    for name in STATISTICS:
        chart, whole = found[name].chart, SPECS[name].whole
        assert any(bar.marked for bar in chart.bars) != whole
        said = f"{found[name].title}: measured on the whole model, so the same for every class."
        assert (said in page) == whole


def test_a_gate_decision_stands_at_the_top(make_result: Make) -> None:
    """With a gate the page says what it decided and on what; without, nothing of it."""
    text = "".join(Reader(render(make_result(), GATE)).text)

    for named_there in ("Gate: block", "shop/7", "production", "champion", "cd" * 32):
        assert named_there in text
    assert text.index("Gate: block") < text.index("Why")
    assert "Gate:" not in render(make_result())


def test_changed_settings_are_marked(make_result: Make) -> None:
    """Every setting is listed; those that are not at their default are called changed, and stand
    first, where they are also printed.
    """
    config = load_config(None, ("judge.false_alarm_rate=0.01", "blend.faint=0.2"))

    listed = {each.name: each for each in sections.settings(config)}

    changed = [each for each in listed if listed[each].changed]
    assert sorted(changed) == ["blend.faint", "judge.false_alarm_rate"]
    page = render(make_result(config=config))
    assert page.count("<td>changed</td>") == 2
    record = Reader(page).chapters["Record"]
    assert "blend.faint = 0.2, judge.false_alarm_rate = 0.01" in record


@pytest.mark.parametrize("name", ["backdoored", "clean"])
def test_the_critical_value_is_drawn_where_the_judge_draws_it(
    real_scans: dict[str, ScanResult], name: str
) -> None:
    """A model is blocked exactly if its highest bar reaches the line in the chart."""
    found = sections.scores(real_scans[name])

    assert found is not None
    assert found.critical_value == real_scans[name].verdict.critical_value
    assert found.chart.limit is not None
    highest = min(bar.y for bar in found.chart.bars if bar.marked)
    assert (highest <= found.chart.limit) == (name == "backdoored")


def test_a_failed_write_leaves_the_earlier_page(make_result: Make, tmp_path: Path) -> None:
    """Until the new page is whole the old one stands; here the place of the draft is taken."""
    before = page_in(tmp_path, make_result()).read_bytes()
    (tmp_path / "report.draft").mkdir()

    with pytest.raises(OSError, match="directory"):
        page_in(tmp_path, make_result(model_uri="another.onnx"))

    assert (tmp_path / html_page.REPORT_FILE).read_bytes() == before


def test_the_same_scan_gives_the_same_page(real_scans: dict[str, ScanResult]) -> None:
    """Nothing in the page depends on when or how often it was made."""
    assert render(real_scans["backdoored"]) == render(real_scans["backdoored"])
