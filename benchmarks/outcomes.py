"""What ban-gate, or a peer of it, says of models whose truth is known."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.peers.__main__ import place_of
from benchmarks.profiles import Known
from pipeline.config import ScanConfig
from pipeline.judging import FURTHER, is_near, settled
from stages.types import Verdict
from stages.verdict.decide import judge
from stages.verdict.score import index_of, null_of, p_value
from stages.verdict.vetting import Vetted, vet


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one method said of one model, beside the truth; `blocked` needs a threshold.

    `targets` are the classes that a right accusation may name. `score` ranks models; larger is more
    suspicious, and in which unit is the method's own.
    """

    name: str
    task: str
    architecture: str
    attack: str
    targets: tuple[int, ...]
    score: float
    suspected: int | None
    blocked: bool | None = None
    inconclusive: bool = False

    @property
    def right(self) -> bool:
        return self.suspected in self.targets

    @property
    def found(self) -> bool:
        """Whether it was blocked for the right class."""
        return bool(self.blocked) and self.right


Verdicts = dict[str, list[Outcome]]
"""Outcomes by the kind of verdict."""


def every_kind(models: Sequence[Known], pool: Sequence[Known], config: ScanConfig) -> Verdicts:
    """The verdicts on every model by itself, and beside one reference from a pool."""
    return {
        "alone": alone(models, config),
        "1 reference, same architecture": beside_references(models, pool, config, alike=True),
        "1 reference, any architecture": beside_references(models, pool, config, alike=False),
    }


def alone(models: Sequence[Known], config: ScanConfig) -> list[Outcome]:
    """The verdict on every model by itself, of those that have one."""
    few = config.calibration.is_few
    return [_outcome(each, (), config) for each in models if not few(each.profile.classes)]


def beside_references(
    models: Sequence[Known],
    pool: Sequence[Known],
    config: ScanConfig,
    *,
    alike: bool,
    count: int = 1,
) -> list[Outcome]:
    """The verdict on every model beside so many clean models of its task from a pool, drawn at
    random.

    Where `alike`, the references are of the same architecture. Models that have fewer are left out.
    A model has one verdict, so that models are what is counted.
    """
    found = []
    for each in models:
        others = references_of(each, pool, alike=alike)
        if len(others) >= count:
            random = np.random.default_rng([config.seed, zlib.crc32(each.name.encode())])
            drawn = random.choice(len(others), count, replace=False)
            found.append(_outcome(each, tuple(others[place] for place in drawn), config))
    return found


def references_of(model: Known, pool: Sequence[Known], *, alike: bool) -> list[Known]:
    """The other clean models of its task in a pool; of its architecture too, where `alike`."""
    return [
        other
        for other in pool
        if other.clean and other.task == model.task and other.name != model.name
        if other.architecture == model.architecture or not alike
    ]


def _outcome(model: Known, references: tuple[Known, ...], config: ScanConfig) -> Outcome:
    """The verdict on a model; its score is −log p by the null, also where p is only a bound."""
    calibration, profiles = config.calibration, tuple(each.profile for each in references)
    rate = config.judge.false_alarm_rate
    vetted = vet(model.scanned, profiles, config.vetting, calibration, rate)
    verdict = _verdict(model, vetted, config)
    classes = model.profile.classes
    null = null_of(calibration, classes, referenced=bool(vetted.kept))
    p = p_value(max(verdict.class_scores), null, classes) if verdict.class_scores else 1.0
    return replace(
        _said(model, -float(np.log(p)), verdict.leading_class),
        blocked=verdict.label == "backdoored",
        inconclusive=verdict.label == "inconclusive",
    )


def _verdict(model: Known, vetted: Vetted, config: ScanConfig) -> Verdict:
    """The verdict; near the limit that of the median of three seeds, where all were measured."""
    profiles = (model.scanned, *model.further)
    first, *others = (judge(e, vetted, config.calibration, config.judge) for e in profiles)
    if len(others) < len(FURTHER) or not is_near(first, config):
        return first
    return settled((first, others[0])) or settled((first, *others)) or first


def by_statistic(models: Sequence[Known], name: str, config: ScanConfig) -> list[Outcome]:
    """What one statistic says by itself, by its anomaly index: of models of which it says any."""
    tail, found = config.calibration.row(name).alone, []
    for each in models:
        index = index_of(name, each.profile, (), tail)
        if not np.isnan(index).all():
            found.append(_said(each, float(np.nanmax(index)), int(np.nanargmax(index))))
    return found


def _said(model: Known, score: float, suspected: int | None) -> Outcome:
    """The outcome of a method without a threshold."""
    return Outcome(
        name=model.name,
        task=model.task,
        architecture=model.architecture,
        attack=model.attack,
        targets=model.targets,
        score=score,
        suspected=suspected,
    )


def peer(models: Sequence[Known], zoos: Sequence[Path], method: str) -> list[Outcome]:
    """What a peer found on the models that it was run on, in any of the zoos."""
    outcomes = []
    for each in models:
        places = (place_of(zoo, method, each.name) for zoo in zoos)
        for place in filter(Path.exists, places):
            found = json.loads(place.read_text())
            outcomes.append(_said(each, float(found["score"]), int(found["suspected_class"])))
    return outcomes


def in_common(methods: dict[str, list[Outcome]]) -> dict[str, list[Outcome]]:
    """The outcomes on the models that every method with any outcome judged."""
    judged = [{each.name for each in outcomes} for outcomes in methods.values() if outcomes]
    shared = set.intersection(*judged) if judged else set()
    return {
        name: [each for each in outcomes if each.name in shared]
        for name, outcomes in methods.items()
    }
