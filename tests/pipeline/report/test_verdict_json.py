"""The verdict is told to programs and in a line, whatever was reached."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.evidence import ScanResult
from pipeline.report.verdict_json import (
    class_table,
    summary,
    verdict_document,
    verdict_text,
    write_verdict,
)
from stages.types import GraphFinding, Statistic, Verdict
from stages.verdict_label import Label
from tests.support.finished_scans import with_evidence, with_permutation
from tests.support.verdict_schema import faults

Make = Callable[..., ScanResult]


def test_the_document_is_schema_2(make_result: Make) -> None:
    """Every key of the schema, with the scan's own numbers."""
    document: dict[str, Any] = verdict_document(make_result())

    assert faults(document) == []
    assert document["schema"] == 2
    assert document["verdict"] == "backdoored"
    assert document["anomaly_score"] == max(document["class_scores"]) == 5.125
    assert document["critical_value"] == 1.6875
    assert (document["p_value"], document["p_is_bound"]) == (1 / 64, True)
    assert document["time"] == "2026-03-04T05:06:07+00:00"
    assert document["isolation"] == {"layers": ["signals"], "missing": ["TCP: no Landlock"]}
    assert document["model"] == {
        "uri": "model.onnx",
        "framework": "pytorch",
        "digest": "ab" * 32,
        "content_digest": "cd" * 32,
        "opset": 17,
        "parameters": 1234,
        "sites": 2,
        "output": "logits",
        "peeled": [],
        "unscanned": [],
    }


def test_every_search_says_what_it_found(make_result: Make) -> None:
    """Statistics with units, the target, what was recovered and how often it works, the effort."""
    searches: dict[str, Any] = verdict_document(make_result())["searches"]  # type: ignore[assignment] # a mapping

    assert searches["patch"] == {
        "statistics": {
            "standardised_margin": {
                "unit": "standard deviations",
                "per_class": pytest.approx([-0.2, -0.1, -0.3, 1.5, -0.2]),
            }
        },
        "target": 3,
        "targets": [3],
        "mapping": None,
        "trigger": {
            "kind": "patch",
            "attack_success_rate": 0.75,
            "samples": 16,
            "inside_twin": False,
        },
        "effort": {"steps": 70, "images": 1120},
        "silent": None,
    }
    kinds = {name: each["trigger"]["kind"] for name, each in searches.items()}
    assert kinds == {
        "blend": "blended pattern",
        "patch": "patch",
        "small_patch": "patch",
        "warp": "warp",
        "tone": "filter",
        "wave": "added pattern",
        "fewer_colours": "fewer colours",
        "source_patch": "patch",
        "neuron_noise": "neuron noise",
        "head_probe": None,
        "permutation": None,
    }
    inside = [name for name, each in searches.items() if each["trigger"]["inside_twin"]]
    assert inside == ["neuron_noise"]


def test_a_search_that_could_not_begin_claims_nothing(make_result: Make) -> None:
    """Without a target there is no trigger, no rate and no sample."""
    result = make_result()
    found = dict(result.evidence.searches)
    found["warp"] = replace(found["warp"], targets=(), trigger=None, success=None)

    document: dict[str, Any] = verdict_document(with_evidence(result, searches=found))

    assert faults(document) == []
    assert document["searches"]["warp"]["target"] is None
    assert document["searches"]["warp"]["trigger"] == {
        "kind": None,
        "attack_success_rate": None,
        "samples": 0,
        "inside_twin": False,
    }


def test_a_trigger_that_permutes_the_classes_says_how(make_result: Make) -> None:
    """With its mapping and no single target, and with neither where it carries too few there."""
    result = with_permutation(make_result())
    documents: list[Any] = [verdict_document(each) for each in (result, make_result())]

    found, nothing = (each["searches"]["permutation"] for each in documents)

    assert [faults(each) for each in documents] == [[], []]
    assert (found["target"], found["targets"]) == (None, [1, 2, 3, 4, 0])
    assert found["mapping"] == [1, 2, 3, 4, 0]
    assert found["trigger"]["kind"] == "patch"
    assert (found["trigger"]["attack_success_rate"], found["trigger"]["samples"]) == (0.125, 40)
    assert (nothing["target"], nothing["targets"], nothing["mapping"]) == (None, [], None)
    assert nothing["trigger"]["attack_success_rate"] is None


@pytest.mark.parametrize(
    ("outside", "told"), [("", "inside"), ("1000 classes", "outside: 1000 classes")]
)
def test_it_says_whether_the_calibration_knows_such_models(
    make_result: Make, refused: ScanResult, outside: str, told: str
) -> None:
    """Inside, or in which respect not; nothing where no class has an anomaly score."""
    document = verdict_document(
        make_result(verdict=replace(make_result().verdict, outside=outside))
    )

    assert faults(document) == []
    assert document["calibration"] == told
    assert faults({**document, "calibration": "somewhere"})
    assert faults({**document, "calibration": None})
    assert verdict_document(refused)["calibration"] is None


def test_a_class_that_was_not_searched_to_the_end_is_null(make_result: Make) -> None:
    """In the document and in the table of classes: nothing is said of it."""
    result = make_result()
    found = result.evidence.searches["patch"]
    values = np.float32([np.nan, -0.5, np.nan, 1.5, -0.25])
    patch = replace(found, statistics={"standardised_margin": values})
    result = with_evidence(result, searches={**result.evidence.searches, "patch": patch})

    document: dict[str, Any] = verdict_document(result)

    assert faults(document) == []
    told = document["searches"]["patch"]["statistics"]["standardised_margin"]["per_class"]
    assert told == [None, -0.5, None, 1.5, -0.25]
    assert class_table(result)["patch.standardised_margin"] == told


def test_unknown_is_null_and_never_missing(make_result: Make, refused: ScanResult) -> None:
    """A refused model has a document with the same keys, at every level."""
    full, empty = verdict_document(make_result()), verdict_document(refused)

    assert faults(empty) == []
    assert set(full) == set(empty)
    for part in ("model", "samples", "parity"):
        known, unknown = full[part], empty[part]
        assert isinstance(known, dict)
        assert isinstance(unknown, dict)
        assert set(known) == set(unknown)
    names = ("digest", "n", "classes", "clean_accuracy", "provenance")
    assert empty["samples"] == dict.fromkeys(names)
    assert empty["isolation"] is None
    assert empty["reasons"] == ["`model.onnx` is not ONNX; export it again"]


def test_the_file_is_strict_json(make_result: Make, tmp_path: Path) -> None:
    """NaN and infinity become null, so any reader can parse the file."""
    verdict = replace(make_result().verdict, anomaly_score=math.inf, p_value=math.nan)

    path = write_verdict(make_result(verdict=verdict), tmp_path)

    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert document["anomaly_score"] is None
    assert document["p_value"] is None
    assert [path] == list(tmp_path.iterdir())


def test_an_earlier_file_is_replaced(
    make_result: Make, refused: ScanResult, tmp_path: Path
) -> None:
    """The folder holds the verdict of the last scan."""
    write_verdict(make_result(), tmp_path)

    path = write_verdict(refused, tmp_path)

    assert json.loads(path.read_text())["verdict"] == "inconclusive"


def test_graph_findings_are_reported(make_result: Make) -> None:
    """What inspection found in the graph stands in the document."""
    result = make_result()
    finding = GraphFinding(rule="hidden-branch", severity="warning", message="a `Where`")
    assert result.evidence.artifact is not None
    artifact = replace(result.evidence.artifact, findings=(finding,))

    document = verdict_document(with_evidence(result, artifact=artifact))

    assert document["graph_findings"] == [
        {"rule": "hidden-branch", "severity": "warning", "message": "a `Where`", "nodes": []}
    ]


SCORED = {"anomaly_score": 0.42, "critical_value": 1.689, "p_value": 0.31}
BLOCKED = {"anomaly_score": 4.987, "critical_value": 1.689, "p_value": 1 / 64, "p_is_bound": True}


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (
            Verdict(label="clean", reasons=(), **SCORED),  # type: ignore[arg-type] # numbers
            "clean         anomaly score 0.42 (critical value 1.69)  p 0.31  model.onnx",
        ),
        (
            Verdict(label="backdoored", reasons=(), suspected_class=7, **BLOCKED),  # type: ignore[arg-type] # numbers
            (
                "backdoored    anomaly score 4.99 (critical value 1.69)  p < 0.016  class 7"
                "  model.onnx"
            ),
        ),
        (
            Verdict(label="backdoored", reasons=("the graph decides",)),
            "backdoored    found in the graph  model.onnx",
        ),
        (
            Verdict(label="inconclusive", reasons=("too few\nsamples", "more")),
            "inconclusive  too few samples  model.onnx",
        ),
        (Verdict(label="inconclusive", reasons=()), "inconclusive  no reason is known  model.onnx"),
    ],
)
def test_the_summary_is_one_line(make_result: Make, verdict: Verdict, line: str) -> None:
    """Label, numbers or reason, and the model, for people and for grep."""
    assert summary(make_result(verdict=verdict)) == line


HOSTILE = [
    "<script>alert(1)</script>",
    'a "quoted" word\\ and {braces} %s $(id) `id`',
    "line\nclean         anomaly score 0.10 (critical value 1.69)  p 0.9  other.onnx",
    "\x1b[2J\x1b[31mred\x07\x00",
    "\u202egnp.exe\u2028\u2029\x85",
    "lone \udcff surrogate",
    "雪 ☃ é",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_data_everywhere(make_result: Make, tmp_path: Path, name: str) -> None:
    """A reader of the file gets the very name back; the line stays one visible line."""
    finding = GraphFinding(rule=name, severity="warning", message=name, nodes=(name,))
    statistic = Statistic(name=name, unit=name, per_class=(1.0,))
    result = make_result(
        model_uri=name,
        verdict=Verdict(label="inconclusive", reasons=(name, name), published=(statistic,)),
        seconds={name: 1.0},
        environment={name: name},
    )
    assert result.evidence.artifact is not None
    artifact = replace(result.evidence.artifact, framework=name, findings=(finding,))
    result = with_evidence(result, artifact=artifact)

    text = write_verdict(result, tmp_path).read_bytes()
    line = summary(result)

    assert text.isascii()
    document = json.loads(text)
    assert document["reasons"] == [name, name]
    assert document["model"]["uri"] == document["model"]["framework"] == name
    assert document["graph_findings"][0]["nodes"] == [name]
    assert document["seconds"] == {name: 1.0}
    assert document["environment"] == {name: name}
    assert document["published"] == {name: {"unit": name, "per_class": [1.0]}}
    assert line.isprintable()
    assert line.startswith("inconclusive  ")


Numbers = st.floats(allow_nan=True, allow_infinity=True)
Maybe = st.none() | Numbers


@given(
    numbers=st.fixed_dictionaries(
        {"anomaly_score": Maybe, "critical_value": Maybe, "p_value": Maybe}
    ),
    per_class=st.lists(Numbers, max_size=5),
    label=st.sampled_from(["clean", "backdoored", "inconclusive"]),
    suspected=st.none() | st.integers(0, 10**6),
    reasons=st.lists(st.text(max_size=20), max_size=3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_verdict_is_strict_json_and_one_line(
    make_result: Make,
    numbers: dict[str, float | None],
    per_class: list[float],
    label: Label,
    suspected: int | None,
    reasons: list[str],
) -> None:
    """Whatever the numbers and texts, the document parses without NaN and loses nothing finite."""
    statistic = Statistic(name="published_ban", unit="share", per_class=tuple(per_class))
    verdict = Verdict(
        label=label,
        reasons=tuple(reasons),
        suspected_class=suspected,
        class_scores=tuple(per_class),
        published=(statistic,),
        **numbers,  # type: ignore[arg-type] # numbers
    )
    result = make_result(verdict=verdict)

    document = json.loads(verdict_text(verdict_document(result)), parse_constant=pytest.fail)

    assert document["reasons"] == reasons
    assert document["suspected_class"] == suspected
    for name, number in numbers.items():
        finite = number is not None and math.isfinite(number)
        assert document[name] == (number if finite else None)
    kept = [each if math.isfinite(each) else None for each in per_class]
    assert document["class_scores"] == kept
    assert document["published"]["published_ban"]["per_class"] == kept
    assert summary(result).startswith(label)
    assert summary(result).isprintable()


def test_numpy_numbers_are_numbers(make_result: Make) -> None:
    """A step may hand over numpy's scalars; the reader of the file never sees the difference."""
    numbers: dict[str, Any] = {"anomaly_score": np.float32(0.5), "suspected_class": np.int64(3)}
    verdict = replace(make_result().verdict, **numbers)
    seconds = {"judge": np.float64(1.5), "broken": np.float32(np.nan)}

    document = json.loads(
        verdict_text(verdict_document(make_result(verdict=verdict, seconds=seconds)))
    )

    assert (document["anomaly_score"], document["suspected_class"]) == (0.5, 3)
    assert document["seconds"] == {"judge": 1.5, "broken": None}


def test_a_failed_write_leaves_the_earlier_verdict(make_result: Make, tmp_path: Path) -> None:
    """Until the new file is whole, the old one stands; here the place of the draft is taken."""
    before = write_verdict(make_result(), tmp_path).read_bytes()
    (tmp_path / "verdict.draft").mkdir()

    with pytest.raises(OSError, match="directory"):
        write_verdict(make_result(model_uri="another.onnx"), tmp_path)

    assert (tmp_path / "verdict.json").read_bytes() == before
