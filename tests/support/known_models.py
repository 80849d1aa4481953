"""Models of known truth with made-up class profiles, zoos of them, and what was said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.outcomes import Outcome
from benchmarks.profiles import SAMPLES, Known, place_of
from benchmarks.zoo.recipe import CLEAN
from pipeline.config import ScanConfig
from pipeline.references.profile_file import profile_text
from stages.searches import SPECS
from stages.types import Floats
from stages.verdict.profile import ClassProfile

TARGET = 3


def known_model(
    name: str,
    statistics: Mapping[str, Floats],
    attack: str = CLEAN,
    *,
    task: str = "digits",
    architecture: str = "vgg",
) -> Known:
    """A model with these statistics; an attack's target is class 3."""
    classes = len(next(iter(statistics.values())))
    profile = ClassProfile(
        name=name,
        digest=name,
        samples="samples",
        clean_accuracy=0.97,
        side=16,
        ordinary=np.arange(classes),
        statistics=statistics,
    )
    return Known(
        name=name,
        task=task,
        architecture=architecture,
        attack=attack,
        target=None if attack == CLEAN else TARGET,
        targets=() if attack == CLEAN else (TARGET,),
        profile=profile,
    )


def drawn(random: np.random.Generator, classes: int = 10) -> dict[str, Floats]:
    """Statistics from a normal distribution: one draw for all classes where the model has one."""
    return {
        name: np.resize(random.normal(1, 0.3, 1 if spec.whole else classes), classes).astype(
            np.float32
        )
        for name, spec in SPECS.items()
    }


def clean_models(count: int, *, seed: int = 0, task: str = "digits") -> list[Known]:
    """Clean models of ten classes, whose statistics are drawn from a normal distribution."""
    random = np.random.default_rng(seed)
    return [
        known_model(f"{task}-clean-{seed}-{number}", drawn(random), task=task)
        for number in range(count)
    ]


def few_models(count: int = 2, *, seed: int = 7, task: str = "signs-2-9") -> list[Known]:
    """Clean models of two classes, as `clean_models` of ten."""
    random = np.random.default_rng(seed)
    return [
        known_model(f"{task}-clean-{seed}-{number}", drawn(random, 2), task=task)
        for number in range(count)
    ]


def with_class_above(name: str, by: float, attack: str = "badnets", **settings: str) -> Known:
    """A model in which the target lies above the other classes by so much."""
    above = np.linspace(0.9, 1.1, 10, dtype=np.float32)
    above[TARGET] += by
    usual = np.full(10, -5.0, np.float32)
    values = {each: usual if spec.whole else above for each, spec in SPECS.items()}
    return known_model(name, values, attack, **settings)


def write_zoo(folder: Path, models: list[Known]) -> Path:
    """A zoo in which these models have been measured, by seed 0 and the further ones they have."""
    (folder / "profiles").mkdir(parents=True)
    for each in models:
        truth = {
            "name": each.name,
            "task": each.task,
            "architecture": each.architecture,
            "attack": each.attack,
            "target": TARGET,
        }
        (folder / f"{each.name}.json").write_text(json.dumps(truth))
        for seed, profile in enumerate((each.profile, *each.further)):
            place = place_of(folder, each.name, seed, SAMPLES)
            place.write_text(profile_text((profile,), ScanConfig(seed=seed)))
    return folder


def outcome(
    attack: str,
    *,
    blocked: bool = False,
    suspected: int | None = None,
    score: float = 0.0,
    targets: tuple[int, ...] = (TARGET,),
    task: str = "digits",
) -> Outcome:
    """What was said of a model with an attack, or of a clean one, which has no target."""
    return Outcome(
        name=f"model-{attack}",
        task=task,
        architecture="vgg",
        attack=attack,
        targets=() if attack == CLEAN else targets,
        score=score,
        suspected=suspected,
        blocked=blocked,
    )
