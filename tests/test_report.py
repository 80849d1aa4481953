"""The verdict is told to programs, in a table and in a line, whatever was reached."""

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

from pipeline.report import (
    class_table,
    summary,
    verdict_document,
    verdict_text,
    write_verdict,
)
from pipeline.result import ScanResult
from stages.label import Label
from stages.types import (
    CleanSamples,
    GraphFinding,
    ReferenceResult,
    Statistic,
    Verdict,
)

Make = Callable[..., ScanResult]


def test_the_document_is_schema_1(make_result: Make, schema_1_keys: set[str]) -> None:
    """Every key of the contract, with the scan's own numbers."""
    document = verdict_document(make_result())

    assert set(document) == schema_1_keys
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
        "content_digest": "cd" * 32,
        "opset": 17,
        "parameters": 1234,
        "sites": 2,
    }


def test_unknown_is_null_and_never_missing(
    make_result: Make, refused: ScanResult, schema_1_keys: set[str]
) -> None:
    """A refused model has a document with the same keys, at every level."""
    full, empty = verdict_document(make_result()), verdict_document(refused)

    assert set(empty) == schema_1_keys
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
    for name in ("targeted", "untargeted", "mask", "blend", "patch", "warp"):
        setattr(result.evidence, name, None)

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


HOSTILE = [
    "<script>alert(1)</script>",
    'a "quoted" word\\ and {braces} %s $(id) `id`',
    "line\nclean         p 0.9  score 0.1  other.onnx",
    "\x1b[2J\x1b[31mred\x07\x00",
    "\u202egnp.exe\u2028\u2029\x85",
    "lone \udcff surrogate",
    "雪 ☃ é",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_data_everywhere(make_result: Make, tmp_path: Path, name: str) -> None:
    """A reader of the file gets the very name back; the line stays one visible line."""
    finding = GraphFinding(rule=name, severity="warning", message=name, nodes=(name,))
    statistic = replace(make_result().verdict.statistics[0], name=name)
    result = make_result(
        model_uri=name,
        verdict=Verdict(label="inconclusive", reasons=(name, name), statistics=(statistic,)),
        seconds={name: 1.0},
        environment={name: name},
    )
    assert result.evidence.artifact is not None
    result.evidence.artifact = replace(
        result.evidence.artifact, framework=name, findings=(finding,)
    )

    text = write_verdict(result, tmp_path).read_bytes()
    line = summary(result)

    assert text.isascii()
    document = json.loads(text)
    assert document["reasons"] == [name, name]
    assert document["model"]["uri"] == document["model"]["framework"] == name
    assert document["graph_findings"][0]["nodes"] == [name]
    assert document["seconds"] == {name: 1.0}
    assert document["environment"] == {name: name}
    assert list(document["statistics"]) == [name]
    assert line.isprintable()
    assert line.startswith("inconclusive  ")


Numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(
    value=Numbers,
    score=st.none() | Numbers,
    p_value=st.none() | Numbers,
    per_class=st.lists(Numbers, max_size=5),
    label=st.sampled_from(["clean", "backdoored", "inconclusive"]),
    suspected=st.none() | st.integers(0, 10**6),
    reasons=st.lists(st.text(max_size=20), max_size=3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_verdict_is_strict_json_and_one_line(  # noqa: PLR0917 (hypothesis names them)
    make_result: Make,
    value: float,
    score: float | None,
    p_value: float | None,
    per_class: list[float],
    label: Label,
    suspected: int | None,
    reasons: list[str],
) -> None:
    """Whatever the numbers and texts, the document parses without NaN and loses nothing finite."""
    statistic = Statistic(
        name="flip", per_class=tuple(per_class), value=value, suspected_class=0, p_value=p_value
    )
    verdict = Verdict(
        label=label,
        reasons=tuple(reasons),
        suspected_class=suspected,
        p_value=p_value,
        score=score,
        statistics=(statistic,),
    )
    result = make_result(verdict=verdict)

    document = json.loads(verdict_text(verdict_document(result)), parse_constant=pytest.fail)

    assert document["reasons"] == reasons
    assert document["suspected_class"] == suspected
    for found, given_number in ((document["score"], score), (document["p_value"], p_value)):
        finite = given_number is not None and math.isfinite(given_number)
        assert found == (given_number if finite else None)
    assert len(document["statistics"]["flip"]["per_class"]) == len(per_class)
    assert summary(result).startswith(label)
    assert summary(result).isprintable()


def test_numpy_numbers_are_numbers(make_result: Make) -> None:
    """A step may hand over numpy's scalars; the reader of the file never sees the difference."""
    numbers: dict[str, Any] = {"score": np.float32(0.5), "suspected_class": np.int64(3)}
    verdict = replace(make_result().verdict, **numbers)
    seconds = {"judge": np.float64(1.5), "broken": np.float32(np.nan)}

    document = json.loads(
        verdict_text(verdict_document(make_result(verdict=verdict, seconds=seconds)))
    )

    assert (document["score"], document["suspected_class"]) == (0.5, 3)
    assert document["seconds"] == {"judge": 1.5, "broken": None}


def test_a_failed_write_leaves_the_earlier_verdict(make_result: Make, tmp_path: Path) -> None:
    """Until the new file is whole, the old one stands; here the place of the draft is taken."""
    before = write_verdict(make_result(), tmp_path).read_bytes()
    (tmp_path / "verdict.draft").mkdir()

    with pytest.raises(OSError, match="directory"):
        write_verdict(make_result(model_uri="another.onnx"), tmp_path)

    assert (tmp_path / "verdict.json").read_bytes() == before


def test_the_reference_has_its_column(make_result: Make) -> None:
    """In reference mode the table shows what the published algorithm predicts."""
    result = make_result()
    result.evidence.reference = ReferenceResult(
        predictions=np.array([0, 0, 9, 31, 0]), share=0.775, accuracy=0.2
    )

    assert class_table(result)["reference_predictions"] == [0, 0, 9, 31, 0]


def test_classes_are_known_from_the_twin_on(make_result: Make) -> None:
    """If only the conversion succeeded, there is a row per class with nothing in it."""
    result = make_result()
    for name in ("precondition", "targeted", "untargeted", "mask", "blend", "patch", "warp"):
        setattr(result.evidence, name, None)

    table = class_table(result)

    assert table.pop("class") == [0, 1, 2, 3, 4]
    assert all(column == [None] * 5 for column in table.values())
