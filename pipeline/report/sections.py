"""What the sections of `report.html` show, from whatever evidence a scan has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.config import ScanConfig, flat_settings
from pipeline.evidence import ScanResult
from pipeline.report.charts import Chart, bar_chart, line_chart
from pipeline.report.verdict_json import Column, class_table
from pipeline.report.wording import title_of
from stages.searches import SPECS
from stages.searches.search import Sweep
from stages.types import Integers, NoiseSite, Statistic


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """A class in the table beside the chart: shares in [0, 1]; None where nothing is known."""

    number: int
    score: float | None
    samples: int | float | str | None
    recall: int | float | str | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The anomaly scores that decide: their chart, the class that leads, and the critical value."""

    chart: Chart
    leading_class: int
    critical_value: float | None
    rows: tuple[ClassRow, ...]


@dataclass(frozen=True, kw_only=True)
class StatisticChart:
    """One statistic per class; its bars start at the median class.

    Where `whole` is true it is said of the whole model, so all bars are alike, and start at 0.
    """

    title: str
    whole: bool
    unit: str
    statistic: Statistic
    chart: Chart


@dataclass(frozen=True, kw_only=True)
class Layer:
    """How much the noise of one site adds for the marked class, and for the median other one."""

    site: NoiseSite
    marked: float
    median: float


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The share of samples carried to a class at one bound of the noise."""

    epsilon: float
    marked: float
    median: float
    highest: float


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What the targeted neuron noise says of one class, layer by layer and bound by bound.

    `epsilon` is the bound that the verdict looks at: the first at which the margin of the median
    class is `median_margin` logit gaps, or the last where that `is_reached` at none. It
    `is_partial` where noise is put at the earlier sites alone.
    """

    marked: int
    epsilon: float
    median_margin: float
    is_reached: bool
    is_partial: bool
    layers: tuple[Layer, ...]
    by_layer: Chart
    bounds: tuple[Bound, ...]
    sweep: Chart


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting by its full name, and whether it is not at its default."""

    name: str
    value: object
    changed: bool


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A step's wall time in seconds, and whether its result was an earlier scan's."""

    step: str
    seconds: float
    reused: bool


def ended(result: ScanResult) -> Literal["file", "samples", "twin", "behaviour", "searches"]:
    """The part of the scan in which one without a verdict ended."""
    evidence = result.evidence
    if evidence.artifact is None:
        return "file"
    if evidence.samples is None:
        return "samples"
    if evidence.twin is None:
        return "twin"
    if evidence.precondition is None or evidence.precondition.reasons:
        return "behaviour"
    return "searches"


def scores(result: ScanResult) -> Scores | None:
    """The anomaly scores, if the scan came that far."""
    verdict, leading = result.verdict, result.verdict.leading_class
    if leading is None:
        return None
    level = verdict.critical_value
    return Scores(
        chart=bar_chart(verdict.class_scores, leading, limit=level),
        leading_class=leading,
        critical_value=level,
        rows=tuple(_rows(verdict.class_scores, class_table(result))),
    )


def statistics(result: ScanResult) -> tuple[StatisticChart, ...]:
    """The statistics behind the score, and what published algorithms say."""
    return tuple(
        _statistic_chart(each) for each in (*result.verdict.statistics, *result.verdict.published)
    )


def noise(result: ScanResult) -> Noise | None:
    """What the targeted noise says of the suspected class, or of the one it leads to."""
    found, twin = result.evidence.swept, result.evidence.twin
    if found is None or found.sweep is None or twin is None:
        return None
    sweep, suspected = found.sweep, result.verdict.suspected_class
    known = suspected is not None and suspected in sweep.searched
    marked = suspected if suspected is not None and known else found.targets[0]
    config = result.config.searches["neuron_noise"]
    level = config.median_margin
    layers = tuple(_layers(sweep, twin.sites, marked))
    return Noise(
        marked=marked,
        epsilon=sweep.epsilon,
        median_margin=level,
        is_reached=bool(np.nanmedian(sweep.target_margin[sweep.chosen]) >= level),
        is_partial=config.depth < 1,
        layers=layers,
        by_layer=bar_chart(
            [each.marked for each in layers],
            marked=int(sweep.by_site[marked].argmax()),
            names=[str(number) for number in range(1, len(layers) + 1)],
        ),
        bounds=tuple(_bounds(sweep, marked)),
        sweep=_sweep(sweep, marked),
    )


def settings(config: ScanConfig) -> tuple[Setting, ...]:
    """Every setting by its full name."""
    usual = flat_settings(ScanConfig())
    return tuple(
        Setting(name=name, value=value, changed=value != usual[name])
        for name, value in flat_settings(config).items()
    )


def timings(result: ScanResult) -> tuple[Timing, ...]:
    """The wall time of every step that was begun."""
    return tuple(
        Timing(step=step, seconds=seconds, reused=step in result.reused)
        for step, seconds in result.seconds.items()
    )


def _statistic_chart(each: Statistic) -> StatisticChart:
    whole = each.name in SPECS and SPECS[each.name].whole
    values = [math.nan if value is None else value for value in each.per_class]
    return StatisticChart(
        title=title_of(each.name),
        whole=whole,
        unit=each.unit,
        statistic=each,
        chart=bar_chart(
            values, -1 if whole else each.leading_class, base=0.0 if whole else each.median
        ),
    )


def _rows(values: tuple[float, ...], table: Mapping[str, Column]) -> Iterator[ClassRow]:
    columns = {name: dict(enumerate(table[name])) for name in ("samples", "recall")}
    for number, score in enumerate(values):
        yield ClassRow(
            number=number,
            score=score if math.isfinite(score) else None,
            samples=columns["samples"].get(number),
            recall=columns["recall"].get(number),
        )


def _layers(sweep: Sweep, sites: tuple[NoiseSite, ...], marked: int) -> Iterator[Layer]:
    others = np.median(sweep.by_site[_others(sweep, marked)], axis=0)
    for site, added, median in zip(sites, sweep.by_site[marked], others, strict=True):
        yield Layer(site=site, marked=float(added), median=float(median))


def _bounds(sweep: Sweep, marked: int) -> Iterator[Bound]:
    for epsilon, rates in zip(sweep.bounds, sweep.success_rate, strict=True):
        others = rates[_others(sweep, marked)]
        yield Bound(
            epsilon=float(epsilon),
            marked=float(rates[marked]),
            median=float(np.median(others)),
            highest=float(others.max()),
        )


def _others(sweep: Sweep, marked: int) -> Integers:
    """The other classes that noise was found for."""
    others: Integers = np.setdiff1d(sweep.searched, [marked])
    return others


def _sweep(sweep: Sweep, marked: int) -> Chart:
    others = sweep.success_rate[:, _others(sweep, marked)]
    lines = [("other", each) for each in others.T]
    lines.append(("median", np.median(others, axis=1)))
    lines.append(("marked", sweep.success_rate[:, marked]))
    return line_chart(sweep.bounds, lines)
