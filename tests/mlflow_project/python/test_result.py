"""What a scan from Python gives back says what the scan found."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from mlflow_project.python.result import Result
from pipeline.evidence import ScanResult
from pipeline.report.html_page import render
from pipeline.report.verdict_json import verdict_document
from stages.errors import SamplesError
from tests.support.report_pages import with_names

NAMES = ("ant", "bee", "cat", "<b>dog</b>", "eel")


@pytest.fixture
def result(make_result: Callable[..., ScanResult]) -> Result:
    """A scan of five classes that suspects class 3."""
    scan = with_names(make_result(), NAMES)
    return Result(scan=scan, page=render(scan))


def test_numbers_are_those_of_the_verdict(result: Result) -> None:
    """By short names."""
    verdict = result.scan.verdict

    assert result.verdict == "backdoored"
    assert result.p_value == verdict.p_value
    assert result.anomaly_score == verdict.anomaly_score
    assert result.critical_value == verdict.critical_value
    assert result.suspected_class == 3
    assert result.suspected_class_name == NAMES[3]
    assert result.class_names == NAMES
    assert result.reasons == verdict.reasons
    assert result.to_dict() == verdict_document(result.scan)
    json.dumps(result.to_dict())


def test_the_trigger_is_that_which_works_most_often(result: Result) -> None:
    """Of those that lead to the suspected class; it can be put on images."""
    searches = result.scan.evidence.searches.values()
    aimed = [each for each in searches if each.accused == 3 and each.trigger and each.success]
    samples = result.scan.evidence.samples
    assert samples is not None

    assert result.trigger is not None
    rates = [each.success.rate for each in aimed if each.success]
    assert result.attack_success_rate == max(rates)
    assert result.trigger.apply(samples.images).shape == samples.images.shape
    assert not np.array_equal(result.trigger.apply(samples.images), samples.images)


def test_the_trigger_goes_on_tensors_and_arrays_alike(result: Result) -> None:
    """In float32, on their device; the images themselves are left as they are."""
    samples, trigger = result.scan.evidence.samples, result.trigger
    assert samples is not None
    assert trigger is not None
    images = samples.images.astype(np.float64)
    tensor = torch.tensor(images, requires_grad=True)

    laid = trigger.apply(tensor)

    assert isinstance(laid, torch.Tensor)
    assert (laid.dtype, trigger.kind) == (torch.float32, trigger.shape.kind)
    np.testing.assert_array_equal(laid.numpy(), trigger.apply(images))
    np.testing.assert_array_equal(tensor.detach().numpy(), samples.images)
    with pytest.raises(SamplesError, match=r"expected \(N, .*; give several at once"):
        trigger.apply(images[0])


def test_a_model_that_was_not_judged_has_no_numbers(refused: ScanResult) -> None:
    """None, not zero; the reason is there."""
    result = Result(scan=refused, page=render(refused))

    assert result.verdict == "inconclusive"
    assert result.p_value is result.anomaly_score is result.suspected_class is result.trigger
    assert result.suspected_class_name is result.attack_success_rate is None
    assert result.reasons
    assert repr(result) == "<ban_gate.Result inconclusive>"


def test_the_representation_is_one_short_line(result: Result) -> None:
    """Verdict, class by its name, and the numbers."""
    shown = repr(result)

    assert shown.startswith("<ban_gate.Result backdoored: class 3 (<b>dog</b>), anomaly score ")
    assert "\n" not in shown
    assert len(shown) < 200


def test_a_class_without_a_name_has_its_number(make_result: Callable[..., ScanResult]) -> None:
    """As without any names."""
    result = Result(scan=with_names(make_result(), NAMES[:2]), page="")

    assert result.suspected_class_name == "class 3"


def test_the_page_of_a_notebook_holds_no_markup_of_others(result: Result) -> None:
    """Names are escaped, and the report lies in a frame that runs nothing."""
    shown = result._repr_html_()
    tags: list[str] = []

    class Tags(HTMLParser):
        """Notes which tags there are."""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            if tag == "iframe":
                assert ("sandbox", None) in attrs

    Tags().feed(shown)
    assert "b" not in tags
    assert tags.count("iframe") == 1
    assert tags.count("img") > 1
    assert "script" not in tags


def test_the_report_is_written_whole(result: Result, tmp_path: Path) -> None:
    """Into a folder that need not exist."""
    path = result.save_html(tmp_path / "new" / "report.html")

    assert path.read_text(encoding="utf-8") == result.page
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]
