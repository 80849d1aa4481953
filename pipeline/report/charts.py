"""Where the bars and lines of a report's charts lie; `html/charts.html.jinja` draws them as SVG.

Coordinates are SVG user units, x to the right and y downwards. The box is as wide as a phone's
screen, so that the text in it keeps its size there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from stages.types import Floats

WIDTH, HEIGHT = 400.0, 242.0
LEFT, RIGHT, TOP, BOTTOM = 38.0, 390.0, 34.0, 202.0
"""The box in which values are drawn; above it the name of the axis and the marked value have room.
"""
FILLED = 0.72
"""Share of its place that a bar fills."""
LARGEST = 1e30
"""Values beyond it are drawn as it."""
MOST_STEPS = 8
"""Steps that are named below a line."""
FEW = 20
"""Up to so many bars are named; of more, about ten are."""


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A label and where on its axis it stands."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar from the base to a value; `marked` for the one a reader should look at."""

    x: float
    y: float
    width: float
    height: float
    text: str
    value: float
    marked: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line through values; `points` as SVG writes them, `kind` as the style sheet knows it."""

    points: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars or lines with their axes; `base` is where bars start, `limit` a level; both heights."""

    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    base: float
    limit: float | None = None


def bar_chart(
    values: Sequence[float],
    marked: int,
    names: Sequence[str] | None = None,
    base: float = 0.0,
    limit: float | None = None,
) -> Chart:
    """One bar per value, numbered or named, up or down from `base`, and a level to compare with."""
    heights, (start,) = _drawable(values), _drawable([base])
    scale = _Scale.around([*heights, start, start if limit is None else limit])
    slot = (RIGHT - LEFT) / max(1, len(heights))
    shown = names or [str(number) for number in range(len(heights))]
    bars = tuple(
        _bar(scale, (start, value), slot, number, shown[number], number == marked)
        for number, value in enumerate(heights)
    )
    every = 1 if len(bars) <= FEW else -(-len(bars) // 10)
    return Chart(
        bars=bars,
        x_ticks=tuple(Tick(at=bar.x + bar.width / 2, text=bar.text) for bar in bars[::every]),
        y_ticks=scale.ticks(),
        base=scale.y(start),
        limit=None if limit is None else scale.y(limit),
    )


def line_chart(steps: Floats, lines: Sequence[tuple[str, Floats]]) -> Chart:
    """Lines (kind, values) over steps, which stand at equal distances whatever they are."""
    known = [_drawable(values) for _, values in lines]
    scale = _Scale.around([0.0, *(value for values in known for value in values)])
    places = np.linspace(LEFT + 12, RIGHT - 12, len(steps))
    return Chart(
        lines=tuple(
            Line(
                points=" ".join(
                    f"{x:.1f},{scale.y(y):.1f}" for x, y in zip(places, values, strict=True)
                ),
                kind=kind,
            )
            for (kind, _), values in zip(lines, known, strict=True)
        ),
        x_ticks=tuple(
            Tick(at=float(x), text=f"{step:.2g}")
            for x, step in list(zip(places, steps, strict=True))[:: -(-len(steps) // MOST_STEPS)]
        ),
        y_ticks=scale.ticks(),
        base=scale.y(0.0),
    )


def _drawable(values: Sequence[float] | Floats) -> list[float]:
    """The values, with 0 for those that are no number, and no larger than can be drawn."""
    known = np.nan_to_num(np.asarray(values, np.float64), posinf=0.0, neginf=0.0)
    return [float(each) for each in known.clip(-LARGEST, LARGEST)]


def _bar(
    scale: _Scale, ends: tuple[float, float], slot: float, number: int, name: str, marked: bool
) -> Bar:
    top, bottom = sorted(scale.y(end) for end in ends)
    return Bar(
        x=LEFT + slot * (number + (1 - FILLED) / 2),
        y=top,
        width=slot * FILLED,
        height=bottom - top,
        text=name,
        value=ends[1],
        marked=marked,
    )


@dataclass(frozen=True)
class _Scale:
    """Values from `low` to `high` on the height of the box."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> _Scale:
        """The scale that holds all values, with a little room."""
        low, high = min(values), max(values)
        room = max(0.06 * (high - low), 1e-6 * max(abs(low), abs(high))) or 1.0
        return cls(low - room if low < 0 else low, high + room)

    def y(self, value: float) -> float:
        """Where a value stands."""
        return BOTTOM - (BOTTOM - TOP) * (value - self.low) / (self.high - self.low)

    def ticks(self) -> tuple[Tick, ...]:
        """A few round numbers."""
        found = MaxNLocator(nbins=5).tick_values(self.low, self.high)
        inside = [float(each) for each in found if self.low <= each <= self.high]
        return tuple(Tick(at=self.y(each), text=f"{each:.4g}") for each in inside)
