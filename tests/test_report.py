"""The verdict is told to programs, in a table and in a line, whatever was reached."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.report import class_table, summary, verdict_document, write_verdict
from pipeline.result import ScanResult
from stages.types import CleanSamples, GraphFinding, Verdict

KEYS = {
    "schema", "verdict", "reasons", "suspected_class", "p_value", "score", "statistics", "model",
    "samples", "parity", "graph_findings", "seconds", "peak_rss_mb", "environment", "config",
    "seed", "references",
}  # fmt: skip

Make = Callable[..., ScanResult]


def test_the_document_is_schema_1(make_result: Make) -> None:
    """Every key of the contract, with the scan's own numbers."""
    document = verdict_document(make_result())

    assert set(document) == KEYS
    assert document["schema"] == 1
    assert document["verdict"] == "backdoored"
    assert document["statistics"] == {
        "flip": {
            "per_class": [0.05, 0.05, 0.05, 0.9, 0.05],
            "value": 5.1,
            "suspected_class": 3,
            "p_value": 0.0004,
        }
    }
    assert document["model"] == {
        "uri": "model.onnx",
        "framework": "pytorch",
        "digest": "ab" * 32,
        "opset": 17,
        "parameters": 1234,
        "sites": 2,
    }


def test_unknown_is_null_and_never_missing(make_result: Make, refused: ScanResult) -> None:
    """A refused model has a document with the same keys, at every level."""
    full, empty = verdict_document(make_result()), verdict_document(refused)

    assert set(empty) == KEYS
    for part in ("model", "samples", "parity"):
        known, unknown = full[part], empty[part]
        assert isinstance(known, dict)
        assert isinstance(unknown, dict)
        assert set(known) == set(unknown)
    assert empty["samples"] == {"digest": None, "n": None, "classes": None, "clean_accuracy": None}
    assert empty["reasons"] == ["`model.onnx` is not ONNX; export it again"]


def test_the_file_is_strict_json(make_result: Make, tmp_path: Path) -> None:
    """NaN and infinity become null, so any reader can parse the file."""
    verdict = replace(make_result().verdict, score=math.inf, p_value=math.nan)

    path = write_verdict(make_result(verdict=verdict), tmp_path)

    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert document["score"] is None
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
    result.evidence.artifact = replace(result.evidence.artifact, findings=(finding,))

    document = verdict_document(result)

    assert document["graph_findings"] == [
        {"rule": "hidden-branch", "severity": "warning", "message": "a `Where`", "nodes": []}
    ]


def test_the_table_has_a_row_per_class(make_result: Make) -> None:
    """Columns of equal length, with the numbers of the chosen bound."""
    table = class_table(make_result())

    assert {len(column) for column in table.values()} == {5}
    assert table["class"] == [0, 1, 2, 3, 4]
    assert table["samples"] == table["clean_predictions"] == [8] * 5
    assert table["recall"] == [1.0] * 5
    assert table["flip_rate"] == pytest.approx([0.05, 0.05, 0.05, 0.9, 0.05])
    assert table["noise_predictions"] == [1, 2, 3, 30, 4]
    assert table["masked_predictions"] == [0, 0, 0, 40, 0]


def test_a_class_without_samples_has_no_recall(make_result: Make) -> None:
    """Nothing is divided by zero."""
    result = make_result()
    samples = result.evidence.samples
    assert samples is not None
    result.evidence.samples = CleanSamples(images=samples.images, labels=samples.labels % 4)

    assert class_table(result)["recall"][4] is None


def test_the_table_keeps_its_columns(make_result: Make, refused: ScanResult) -> None:
    """Where the scan did not come that far the column is empty; without classes there is no row."""
    result = make_result()
    whole = class_table(result)
    result.evidence.targeted = result.evidence.untargeted = result.evidence.mask = None

    partly = class_table(result)

    assert set(partly) == set(whole) == set(class_table(refused))
    assert partly["flip_rate"] == [None] * 5
    assert {len(column) for column in class_table(refused).values()} == {0}


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (
            Verdict(label="clean", reasons=(), p_value=0.31, score=0.42),
            "clean         p 0.31  score 0.42  model.onnx",
        ),
        (
            Verdict(label="backdoored", reasons=(), p_value=0.0004, score=5.1, suspected_class=7),
            "backdoored    p 0.0004  score 5.1  class 7  model.onnx",
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
