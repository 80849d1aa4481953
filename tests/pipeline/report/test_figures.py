"""The figures of a scan are SVG that any viewer reads, and that show what the page shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree

from pipeline.evidence import ScanResult
from pipeline.report.figures import CHARTS, figures, write_figures
from stages.types import CleanSamples
from tests.support.finished_scans import ended_at, with_evidence

Make = Callable[..., ScanResult]
SVG = "{http://www.w3.org/2000/svg}"


def test_a_full_scan_has_every_figure(make_result: Make) -> None:
    """Each is a well-formed drawing of its own that loads and runs nothing."""
    drawn = figures(make_result())

    assert tuple(drawn) == CHARTS
    for text in drawn.values():
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg"
        assert {each.tag for each in root.iter()}.isdisjoint(
            {f"{SVG}script", f"{SVG}foreignObject"}
        )
        links = [each.attrib["href"] for each in root.iter() if "href" in each.attrib]
        assert all(each.startswith("data:image/png;base64,") for each in links)


def test_there_is_a_bar_for_every_class_and_one_is_marked(make_result: Make) -> None:
    """That of the class with the highest anomaly score."""
    root = ElementTree.fromstring(figures(make_result())["anomaly_score_per_class"])

    kinds = [each.attrib.get("class", "") for each in root.iter(f"{SVG}rect")]
    assert sum(kind.startswith("bar") for kind in kinds) == 5
    assert kinds.count("bar marked") == 1


def test_triggers_have_a_row_each_with_their_success(make_result: Make) -> None:
    """For every search that recovered one that can be seen."""
    result = make_result()
    seen = [each for each in result.evidence.searches.values() if each.trigger and each.targets]

    text = figures(result)["recovered_triggers"]

    assert text.count("the trigger</text>") == len(seen)
    assert "Blended pattern to class 3: works on 95% of 20 images" in text


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("inspect_onnx", set()),
        ("find_patch", {"recovered_triggers"}),
        ("judge", set(CHARTS) - {"anomaly_score_per_class"}),
    ],
)
def test_a_scan_that_ended_has_the_figures_it_came_to(
    make_result: Make, step: str, expected: set[str]
) -> None:
    """No figure is drawn of what was not found."""
    assert set(figures(ended_at(make_result(), step))) == expected


def test_rows_of_numbers_have_no_picture(make_result: Make) -> None:
    """Their triggers cannot be seen; the charts remain."""
    rows = CleanSamples(
        images=np.zeros((40, 16), np.float32), labels=np.arange(40, dtype=np.int64) % 5
    )

    assert "recovered_triggers" not in figures(with_evidence(make_result(), samples=rows))


def test_figures_are_written_whole(make_result: Make, tmp_path: Path) -> None:
    """One file each, by its name."""
    paths = write_figures(make_result(), tmp_path)

    assert {each.name for each in tmp_path.iterdir()} == {f"{name}.svg" for name in CHARTS}
    assert all(each.read_text(encoding="utf-8").startswith("<svg ") for each in paths)
