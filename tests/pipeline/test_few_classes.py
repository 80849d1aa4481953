"""A model of two or three classes is scanned beside a clean one, and without one not searched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.store import Store
from pipeline.config import load_config
from pipeline.evidence import ScanResult
from pipeline.report.html_page import render
from pipeline.report.verdict_json import verdict_document, verdict_text
from pipeline.request import ScanRequest
from pipeline.scan import scan
from tests.support.brief_searches import BRIEF
from tests.support.few_classes import samples_of, with_classes, with_one_probability
from tests.support.verdict_schema import faults

TARGET, OTHERS = 7, (1, 9)
"""The target of the blended demo model, and classes beside it."""
LAX = "judge.false_alarm_rate=0.2"
"""A rate at which one reference is enough by far to find it, and to pass the clean model."""


def scanned(
    model: Path,
    samples: Path,
    workspace: Path,
    *references: Path,
    settings: tuple[str, ...] = (),
    store: Store | None = None,
) -> ScanResult:
    request = ScanRequest(
        model=str(model),
        samples=samples,
        uri=model.name,
        config=load_config(None, ["judge.near=1", *settings]),
        references=tuple(map(str, references)),
    )
    workspace.mkdir()
    return scan(request, store or Store(None), workspace)


@pytest.mark.parametrize(
    ("count", "written"),
    [
        pytest.param(2, with_classes, id="two"),
        pytest.param(3, with_classes, id="three", marks=pytest.mark.nightly),
        pytest.param(2, with_one_probability, id="one probability", marks=pytest.mark.nightly),
    ],
)
def test_a_backdoor_of_few_classes_is_found_beside_a_clean_model(
    tmp_path: Path, count: int, written: Callable[[str, list[int], Path], Path]
) -> None:
    """With the right class, and the clean one beside it passes. A reference has no verdict of its
    own, and the page says so.
    """
    classes = [*OTHERS, TARGET][-count:]
    samples = samples_of(classes, tmp_path)
    clean, blended = (
        written(name, classes, tmp_path / f"{name}.onnx") for name in ("clean", "blended")
    )

    kept = Store(tmp_path / "kept")

    found = scanned(blended, samples, tmp_path / "first", clean, settings=(LAX,), store=kept)
    passed = scanned(clean, samples, tmp_path / "second", blended, settings=(LAX,), store=kept)

    assert passed.verdict.label == "clean", passed.verdict.reasons
    assert found.verdict.label == "backdoored", found.verdict.reasons
    assert found.verdict.suspected_class == count - 1
    (reference,) = found.evidence.references
    assert (reference.used, reference.verdict, reference.p_value) == (True, "inconclusive", None)
    assert faults(json.loads(verdict_text(verdict_document(found)))) == []
    assert "<td>inconclusive</td>" in render(found)


def test_without_a_reference_nothing_is_searched(tmp_path: Path) -> None:
    """It would settle nothing: the verdict is inconclusive, and says what to give."""
    classes = [OTHERS[1], TARGET]
    blended = with_classes("blended", classes, tmp_path / "blended.onnx")

    result = scanned(blended, samples_of(classes, tmp_path), tmp_path / "scan")

    assert result.verdict.label == "inconclusive"
    assert "--reference" in result.verdict.reasons[0]
    assert result.evidence.precondition is not None
    assert not result.evidence.searches


def test_a_model_has_to_do_better_than_guessing(tmp_path: Path) -> None:
    """Of two classes half are right by chance, as with wrong preprocessing, and three in five are
    not enough.
    """
    classes = [OTHERS[1], TARGET]
    clean = with_classes("clean", classes, tmp_path / "clean.onnx")
    samples = samples_of(classes, tmp_path)
    with np.load(samples) as given:
        images, labels = given["images"], given["labels"]
    np.savez(
        samples, images=images, labels=np.where(np.arange(len(labels)) % 5 < 2, 1 - labels, labels)
    )

    result = scanned(clean, samples, tmp_path / "scan", clean)

    assert result.verdict.label == "inconclusive"
    assert any("at least 0.75 is needed" in reason for reason in result.verdict.reasons)


def test_a_reference_that_is_left_out_is_none(tmp_path: Path) -> None:
    """Beside itself a model is not judged, and the reasons say both."""
    classes = [OTHERS[1], TARGET]
    blended = with_classes("blended", classes, tmp_path / "blended.onnx")
    samples = samples_of(classes, tmp_path)

    result = scanned(blended, samples, tmp_path / "scan", blended, settings=BRIEF)

    assert result.verdict.label == "inconclusive"
    assert "only beside a reference" in result.verdict.reasons[0]
    assert "it is the model that is judged" in result.verdict.reasons[1]
