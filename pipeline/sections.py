"""What the sections of `report.html` show, from whatever evidence a scan has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline import pictures
from pipeline.charts import Chart, bar_chart, line_chart
from pipeline.config import ScanConfig, config_dict
from pipeline.report import Column, class_table
from pipeline.result import Evidence, ScanResult, TwinSummary
from stages.score import limit
from stages.screen import ScreenConfig
from stages.types import NoiseSite, Statistic, TargetedNoise

State = Literal["done", "stopped here", "not reached", "off", "none"]


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """A class in the table beside the chart: shares in [0, 1]; None where nothing is known."""

    number: int
    score: float | None
    patch_margin: int | float | None
    samples: int | float | None
    recall: int | float | None


@dataclass(frozen=True, kw_only=True)
class Leading:
    """The statistic that decides: its chart, the class that stands out most, and the limit.

    `limit` is the score from which a model is blocked; None where no p-value was computed.
    """

    statistic: Statistic
    chart: Chart
    limit: float | None
    rows: tuple[ClassRow, ...]


@dataclass(frozen=True, kw_only=True)
class Search:
    """One statistic behind the score, per class; its bars start at the median class."""

    title: str
    unit: str
    statistic: Statistic
    chart: Chart


@dataclass(frozen=True, kw_only=True)
class Layer:
    """How much the noise of one site pulls to the marked class, and to the median other one."""

    site: NoiseSite
    marked: float
    median: float


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The share of samples flipped at one bound of the noise."""

    epsilon: float
    marked: float
    median: float
    highest: float


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What the targeted neuron noise says of one class, layer by layer and bound by bound."""

    marked: int
    epsilon: float
    layers: tuple[Layer, ...]
    by_layer: Chart
    bounds: tuple[Bound, ...]
    sweep: Chart


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the scan: what it asks, how it ended, and what it found."""

    title: str
    asks: str
    state: State
    told: str


@dataclass(frozen=True, kw_only=True)
class Triggers:
    """The triggers that could be recovered, where the samples are images."""

    pattern: pictures.Trigger | None
    patch: pictures.Trigger | None
    warp: pictures.Trigger | None
    opacity: float


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
    """The part of the walk in which a scan without a verdict ended."""
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


def leading(result: ScanResult) -> Leading | None:
    """The statistic that decides, if the scan came that far."""
    if not result.verdict.statistics:
        return None
    statistic = result.verdict.statistics[0]
    level = _limit(result, statistic)
    return Leading(
        statistic=statistic,
        chart=bar_chart(statistic.per_class, statistic.suspected_class, limit=level),
        limit=level,
        rows=tuple(_rows(statistic, class_table(result))),
    )


def searches(result: ScanResult) -> tuple[Search, ...]:
    """The statistics beside the one that decides."""
    blend = result.config.blend
    margin = "mean margin (the usual distance from winning: 1)"
    sureness = "mean margin over its deviation between samples"
    known = {
        "blend": (f"Pattern blended in at {blend.faint:.0%}", margin),
        "sure_blend": (f"Pattern blended in at {blend.faint:.0%}, evenness", sureness),
        "strong_blend": (f"Pattern blended in at {blend.strong:.0%}", margin),
        "patch": ("Patch", sureness),
        "warp": ("Warp", sureness),
        "noise": ("Neuron noise", margin),
        "untargeted_noise": ("Untargeted noise, as in the paper", "predictions gained, share"),
        "masked_noise": ("Noise and feature mask, as in the paper", "predictions gained, share"),
        "reference": ("The published algorithm", "share of predictions"),
    }
    return tuple(
        Search(
            title=known.get(each.name, (each.name, ""))[0],
            unit=known.get(each.name, ("", "larger is more suspicious"))[1],
            statistic=each,
            chart=bar_chart(
                each.per_class, each.suspected_class, base=float(np.median(each.per_class))
            ),
        )
        for each in result.verdict.statistics[1:]
    )


def triggers(result: ScanResult) -> Triggers | None:
    """The recovered triggers, if there are any that can be shown."""
    evidence, opacity = result.evidence, result.config.blend.faint
    samples, blend, patch = evidence.samples, evidence.blend, evidence.patch
    warp = evidence.warp
    if samples is None or not pictures.can_be_shown(samples) or not (blend or patch or warp):
        return None
    return Triggers(
        pattern=pictures.blended_pattern(samples, blend, opacity) if blend else None,
        patch=pictures.square_patch(samples, patch) if patch else None,
        warp=pictures.smooth_warp(samples, warp) if warp else None,
        opacity=opacity,
    )


def noise(result: ScanResult) -> Noise | None:
    """What the targeted noise says of the suspected class, or of the one it flips most."""
    targeted, twin = result.evidence.targeted, result.evidence.twin
    if targeted is None or twin is None:
        return None
    suspected = result.verdict.suspected_class
    highest = int(targeted.flips[targeted.chosen].argmax())
    marked = highest if suspected is None else suspected
    layers = tuple(_layers(targeted, twin.sites, marked))
    return Noise(
        marked=marked,
        epsilon=targeted.epsilon,
        layers=layers,
        by_layer=bar_chart(
            [each.marked for each in layers],
            marked=int(targeted.by_site[marked].argmax()),
            names=[str(number) for number in range(1, len(layers) + 1)],
        ),
        bounds=tuple(_bounds(targeted, marked)),
        sweep=_sweep(targeted, marked),
    )


def settings(config: ScanConfig) -> tuple[Setting, ...]:
    """Every setting by its full name."""
    usual = dict(_flat(config_dict(ScanConfig())))
    return tuple(
        Setting(name=name, value=value, changed=value != usual[name])
        for name, value in _flat(config_dict(config))
    )


def timings(result: ScanResult) -> tuple[Timing, ...]:
    """The wall time of every step that was begun."""
    return tuple(
        Timing(step=step, seconds=seconds, reused=step in result.reused)
        for step, seconds in result.seconds.items()
    )


def steps(result: ScanResult) -> tuple[Step, ...]:
    """The steps of the scan in their order, those it did not reach as well."""
    walk = [*_on_the_file(result.evidence), *_on_the_classes(result), *_beside_it(result)]
    for number, step in enumerate(walk):
        if step.state == "not reached":
            walk[number] = replace(step, state="stopped here")
            break
    return tuple(walk)


def _on_the_file(evidence: Evidence) -> Iterator[Step]:
    parity, clean, found = evidence.parity, evidence.precondition, len(evidence.findings)
    yield _step(
        "Inspection",
        "Is the file a plain ONNX classifier, and does its graph hold logic like a trigger's?",
        evidence.artifact and f"{found or 'no'} finding{'' if found == 1 else 's'} in the graph",
    )
    yield _step(
        "Twin",
        "Does the torch copy that is tested give the file's own scores?",
        evidence.twin
        and parity
        and f"differs by {parity.max_rel:.1e} of the largest score, {parity.tolerance:.0e} allowed",
    )
    yield _step(
        "Clean behaviour",
        "Does the model do its task on these samples?",
        clean and not clean.reasons and f"clean accuracy {clean.clean_accuracy:.1%}",
    )


def _on_the_classes(result: ScanResult) -> Iterator[Step]:
    evidence, blend = result.evidence, result.config.blend
    side, twin = result.config.patch.side, evidence.twin
    reach = _reach(twin, result.config.screen)
    yield _step(
        "Blended pattern",
        "Can one faint picture, blended into every image, carry them all to one class?",
        evidence.blend and f"{reach}, opacity {blend.faint:.0%} and {blend.strong:.0%}",
    )
    yield _step(
        "Patch",
        "Can one small patch, the same on every image, do so?",
        evidence.patch and f"{reach}, {side:.0%} of the image's side",
    )
    yield _step(
        "Warp",
        "Can one smooth bend of the image, the same for every image, do so?",
        evidence.warp and reach,
    )
    yield _step(
        "Neuron noise",
        "Can small noise on the neurons, the same for every image, do so?",
        evidence.targeted and twin and f"every class, at {len(twin.sites)} layers",
    )


def _reach(twin: TwinSummary | None, screening: ScreenConfig) -> str:
    """Which classes were searched, and how thoroughly."""
    if twin is None or not screening.screens(twin.classes):
        return "every class"
    return (
        f"all {twin.classes} classes briefly, {screening.searched(twin.classes)} of them to the end"
    )


def _beside_it(result: ScanResult) -> Iterator[Step]:
    evidence, config = result.evidence, result.config
    used, given = sum(each.used for each in evidence.references), len(evidence.references)
    yield Step(
        title="References",
        asks="Do clean models of the same task favour the same class?",
        state="done" if given else "none",
        told=f"{used} of {given} used" if given else "none was compared with",
    )
    yield _optional(
        "Feature mask",
        "What do the features say that clean samples do not need? (accompanies the verdict)",
        evidence.mask is not None,
        "mask.enabled" if not config.mask.enabled else None,
    )
    yield _optional(
        "Published algorithm",
        "What does the paper's own procedure report? (accompanies the verdict)",
        evidence.reference is not None,
        "reference.enabled" if not config.reference.enabled else None,
    )


def _step(title: str, asks: str, told: object) -> Step:
    """A step that was done if something is told of it."""
    return Step(
        title=title, asks=asks, state="done" if told else "not reached", told=str(told or "")
    )


def _optional(title: str, asks: str, done: bool, setting: str | None) -> Step:
    """A step that may be turned off by a setting, which is named then."""
    if setting:
        return Step(title=title, asks=asks, state="off", told=f"{setting} = true turns it on")
    return _step(title, asks, "every class" if done else "")


def _rows(statistic: Statistic, table: Mapping[str, Column]) -> Iterator[ClassRow]:
    named = ("patch_margin", "samples", "recall")
    known = {name: dict(enumerate(table[name])) for name in named}
    for number, score in enumerate(statistic.per_class):
        yield ClassRow(
            number=number,
            score=score if math.isfinite(score) else None,
            **{name: known[name].get(number) for name in named},
        )


def _limit(result: ScanResult, statistic: Statistic) -> float | None:
    rate, score = result.config.judge.false_alarm_rate, result.config.score
    if statistic.p_value is None or not 0 < rate < 1:
        return None
    compared = any(each.used for each in result.evidence.references)
    return limit(rate, score.referenced if compared else score.alone, len(statistic.per_class))


def _layers(targeted: TargetedNoise, sites: tuple[NoiseSite, ...], marked: int) -> Iterator[Layer]:
    others = np.median(np.delete(targeted.by_site, marked, axis=0), axis=0)
    pulls = zip(sites, targeted.by_site[marked], others, strict=True)
    for site, pull, median in pulls:
        yield Layer(site=site, marked=float(pull), median=float(median))


def _bounds(targeted: TargetedNoise, marked: int) -> Iterator[Bound]:
    for epsilon, flips in zip(targeted.epsilons, targeted.flips, strict=True):
        others = np.delete(flips, marked)
        yield Bound(
            epsilon=float(epsilon),
            marked=float(flips[marked]),
            median=float(np.median(others)),
            highest=float(others.max()),
        )


def _sweep(targeted: TargetedNoise, marked: int) -> Chart:
    others = np.delete(targeted.flips, marked, axis=1)
    lines = [("other", each) for each in others.T]
    lines.append(("median", np.median(others, axis=1)))
    lines.append(("marked", targeted.flips[:, marked]))
    return line_chart(targeted.epsilons, lines)


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
