"""What ban-gate says of a model of a zoo is the verdict of a scan, ranked beyond its bound."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import brentq

from benchmarks.outcomes import (
    alone,
    beside_references,
    by_statistic,
    in_common,
    peer,
    references_of,
)
from benchmarks.peers.__main__ import place_of
from benchmarks.profiles import Known
from benchmarks.zoo.recipe import CLEAN
from pipeline.config import ScanConfig
from stages.verdict.decide import POWER
from stages.verdict.profile import ClassProfile
from stages.verdict.settings import JudgeConfig
from tests.support.known_models import few_models, outcome, with_class_above


def test_methods_are_compared_on_the_models_that_all_of_them_judged() -> None:
    """What one method did not judge counts for none; a method that judged nothing excludes none."""
    clean, wanet = outcome(CLEAN), outcome("wanet", score=1.0)

    shared = in_common({"ours": [clean, wanet], "theirs": [wanet], "unmeasured": []})

    assert shared == {"ours": [wanet], "theirs": [wanet], "unmeasured": []}
    assert in_common({"unmeasured": []}) == {"unmeasured": []}


def test_what_is_only_bounded_is_still_ranked() -> None:
    """Models whose p is printed as the same bound are ranked by how far their class stands out."""
    config = ScanConfig()
    models = [with_class_above(f"by-{by}", by) for by in (6.0, 8.0, 20.0)]
    bound = config.calibration.alone.smallest_p

    outcomes = alone(models, config)

    found = [each.score for each in outcomes]
    assert found == sorted(set(found))
    assert min(found) > -np.log(bound)
    assert all(each.blocked and each.right for each in outcomes)


def test_a_model_that_stands_out_less_scores_lower_and_is_not_blocked() -> None:
    """A clean model is not blocked, has no right class, and scores as its p-value says."""
    config = ScanConfig()

    (found,) = alone([with_class_above("plain", 0.0, CLEAN)], config)

    assert not found.blocked
    assert not found.right
    assert 0 <= found.score < -np.log(config.judge.false_alarm_rate)


def plain(name: str, **settings: str) -> Known:
    return with_class_above(name, 0.0, CLEAN, **settings)


def test_references_are_other_clean_models_of_the_task() -> None:
    """They are of the same architecture where that is asked for, and never the model itself."""
    model, other = plain("model"), plain("other")
    unlike, stranger = plain("unlike", architecture="vit"), plain("stranger", task="fashion")
    pool = [model, other, unlike, stranger, with_class_above("bad", 8.0)]

    assert references_of(model, pool, alike=False) == [other, unlike]
    assert references_of(model, pool, alike=True) == [other]


def test_every_model_that_has_a_reference_meets_one() -> None:
    """A model has one verdict, whose reference the seed draws; one without any has none."""
    clean = [plain(f"clean-{number}") for number in range(3)]
    bad, stranger = with_class_above("bad", 8.0), plain("stranger", task="fashion")
    models = [*clean, bad, stranger]

    found = beside_references(models, models, ScanConfig(), alike=True)

    assert [each.name for each in found] == ["clean-0", "clean-1", "clean-2", "bad"]
    assert found == beside_references(models, models, ScanConfig(), alike=True)
    assert [each.right for each in found] == [False, False, False, True]


def test_another_seed_draws_other_references() -> None:
    """Over some seeds every reference is met."""
    bad = with_class_above("bad", 2.0)
    pool = [with_class_above(f"clean-{by}", by / 10, CLEAN) for by in range(3)]

    met = {
        beside_references([bad], pool, ScanConfig(seed=seed), alike=True)[0].score
        for seed in range(20)
    }

    assert len(met) == 3


def test_a_statistic_by_itself_names_the_class_that_leads_in_it() -> None:
    """By how far it leads; a model of which it says nothing has no outcome."""
    config, name = ScanConfig(), "head_probe.share"
    bad, worse, silent = (
        with_class_above(each, by) for each, by in (("a", 2.0), ("b", 9.0), ("c", 0.0))
    )
    unknown = {**silent.profile.statistics, name: np.full(10, np.nan, np.float32)}
    silent = replace(silent, profile=replace(silent.profile, statistics=unknown))

    found = by_statistic([bad, worse, silent], name, config)

    assert [each.name for each in found] == ["a", "b"]
    assert all(each.right for each in found)
    assert 0 < found[0].score < found[1].score


def test_as_many_references_as_are_asked_for_are_met() -> None:
    """Each one once; a model that has fewer is left out."""
    clean = [plain(f"clean-{number}") for number in range(3)]
    stranger = plain("stranger", task="fashion")

    def names(count: int) -> list[str]:
        found = beside_references([*clean, stranger], clean, ScanConfig(), alike=False, count=count)
        return [each.name for each in found]

    assert names(2) == ["clean-0", "clean-1", "clean-2"]
    assert names(3) == []


def test_a_model_of_few_classes_has_a_verdict_beside_references_only() -> None:
    """By itself it has none, and is no row of such a table."""
    few = few_models(3)

    assert alone([*few, plain("ten")], ScanConfig())[0].name == "ten"
    assert len(alone(few, ScanConfig())) == 0
    assert len(beside_references(few, few, ScanConfig(), alike=True)) == 3


def test_a_model_without_power_is_inconclusive() -> None:
    """Where strong patterns win for no class, nothing is blocked, and it is counted apart."""
    model = plain("weak")
    weak = {**model.profile.statistics, POWER: np.full(10, -1.0, np.float32)}
    model = replace(model, profile=replace(model.profile, statistics=weak))

    (found,) = alone([model], ScanConfig())

    assert found.inconclusive
    assert not found.blocked


def test_a_peer_is_read_from_any_zoo(tmp_path: Path) -> None:
    """What a peer found stands beside the truth; models that it was not run on are left out."""
    models = [with_class_above("bad", 8.0), plain("other", task="fashion"), plain("unmeasured")]
    for number, model in enumerate(models[:2]):
        place = place_of(tmp_path / str(number), "mm-bd", model.name)
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"score": 2.5, "suspected_class": 3}))

    found = peer(models, [tmp_path / "0", tmp_path / "1", tmp_path / "file.jsonl"], "mm-bd")

    assert [(each.name, each.task, each.right) for each in found] == [
        ("bad", "digits", True),
        ("other", "fashion", False),
    ]


def near_the_limit(config: ScanConfig) -> Known:
    """A model whose p-value alone is near the rate, on the side that is blocked."""
    wanted = -np.log(0.045)

    def beyond(by: float) -> float:
        (found,) = alone([with_class_above("near", by)], config)
        return float(found.score - wanted)

    return with_class_above("near", brentq(beyond, 0, 4, xtol=1e-3))


def test_near_the_limit_the_median_of_three_seeds_counts() -> None:
    """One of three that blocks does not; far from the limit, the first seed alone counts."""
    config = ScanConfig(judge=JudgeConfig(near=1.4))
    quiet, loud = plain("quiet").profile, with_class_above("loud", 20.0).profile
    near = near_the_limit(config)
    (first,) = alone([near], config)

    def blocked(model: Known, *further: ClassProfile) -> bool:
        (found,) = alone([replace(model, further=further)], config)
        return bool(found.blocked)

    assert first.blocked
    assert not blocked(near, quiet, quiet)
    assert blocked(near, quiet, loud)
    assert blocked(near, quiet)
    assert blocked(with_class_above("far", 20.0), quiet, quiet)
