"""Bars and lines lie where their numbers say, inside the box, for any numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.charts import BOTTOM, FEW, LEFT, RIGHT, TOP, bar_chart, line_chart

any_number = st.floats(allow_nan=True, allow_infinity=True)


def test_bars_are_as_high_as_their_numbers() -> None:
    """Heights over the zero line are in proportion, and one bar is marked."""
    chart = bar_chart([1.0, 2.0, 4.0], marked=2)

    heights = [bar.height for bar in chart.bars]
    assert heights == pytest.approx([heights[0], 2 * heights[0], 4 * heights[0]])
    assert [bar.marked for bar in chart.bars] == [False, False, True]
    assert [bar.y + bar.height for bar in chart.bars] == pytest.approx([chart.base] * 3)


def test_bars_rise_and_hang_from_their_base() -> None:
    """With a base other than zero, smaller numbers hang below it and larger ones stand on it."""
    low, middle, high = bar_chart([-3.0, -2.0, -0.5], marked=2, base=-2.0).bars

    assert low.y == pytest.approx(middle.y)
    assert middle.height == 0
    assert high.y + high.height == pytest.approx(middle.y)
    assert high.height == pytest.approx(1.5 * low.height)


def test_a_bar_reaches_the_limit_exactly_if_its_number_does() -> None:
    """The level is drawn on the scale of the bars, also where it is above all of them."""
    chart = bar_chart([1.0, 2.5], marked=1, limit=2.0)
    above = bar_chart([1.0, 1.5], marked=1, limit=2.0)

    assert chart.limit is not None
    assert above.limit is not None
    assert chart.bars[1].y < chart.limit < chart.bars[0].y
    assert TOP <= above.limit < above.bars[1].y


@given(values=st.lists(any_number, min_size=1, max_size=250), base=any_number)
def test_any_numbers_stay_in_the_box(values: list[float], base: float) -> None:
    """From one class to hundreds, whatever the numbers: every bar, tick and label is inside."""
    chart = bar_chart(values, marked=0, base=base)

    assert len(chart.bars) == len(values)
    assert len(chart.x_ticks) <= FEW
    assert all(TOP - 1e-6 <= tick.at <= BOTTOM + 1e-6 for tick in chart.y_ticks)
    for bar in chart.bars:
        assert LEFT <= bar.x <= bar.x + bar.width <= RIGHT + 1e-6
        assert TOP - 1e-6 <= bar.y <= bar.y + bar.height <= BOTTOM + 1e-6


def test_bars_can_have_names() -> None:
    """Ticks show the names in the order of the bars."""
    chart = bar_chart([1.0, 2.0], marked=0, names=["one", "two"])

    assert [tick.text for tick in chart.x_ticks] == ["one", "two"]


def test_lines_go_through_their_numbers() -> None:
    """A line's points rise with its numbers, one per step from left to right."""
    steps = np.array([0.01, 0.1, 1.0], np.float32)

    chart = line_chart(steps, [("marked", np.array([0.0, 0.5, 1.0], np.float32))])

    points = [tuple(map(float, each.split(","))) for each in chart.lines[0].points.split()]
    across, heights = [x for x, _ in points], [y for _, y in points]
    assert across == sorted(across)
    assert heights[0] == pytest.approx(BOTTOM)
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    assert [tick.text for tick in chart.x_ticks] == ["0.01", "0.1", "1"]
