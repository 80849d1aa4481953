"""A result's key holds everything that changes the result, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import fx, nn

from pipeline.cache import keys
from pipeline.config import ScanConfig
from pipeline.evidence import Evidence
from stages.published.ban import run_ban
from stages.published.feature_mask import find_mask
from stages.published.untargeted_noise import find_untargeted_noise
from stages.searches import SEARCHES, STATISTICS
from stages.searches.screen import choice_of, stage_of
from stages.searches.search import Search, Subject
from stages.stage import stage
from stages.twin.precondition import check_preconditions
from stages.twin.sites import measure_sites
from stages.types import (
    AFFECTS_RESULT,
    Arithmetic,
    CleanSamples,
    OnnxArtifact,
    SiteStatistics,
    TorchTwin,
)
from stages.verdict.calibration import Calibration
from stages.verdict.decide import judge
from stages.verdict.profile import ClassProfile
from stages.verdict.settings import JudgeConfig
from stages.verdict.vetting import Vetted

STAGES: dict[str, Any] = {
    each.name: each
    for each in (
        *(check_preconditions, measure_sites, choice_of(SEARCHES), *map(stage_of, SEARCHES)),
        *(judge, find_untargeted_noise, find_mask, run_ban),
    )
}


@stage(version=1)
def echo(value: object) -> CleanSamples:
    """A stage that takes anything; it is never run."""
    raise AssertionError(value)


def _twin(digest: str = "ab" * 32, device: str = "cpu") -> TorchTwin:
    return TorchTwin(
        module=fx.symbolic_trace(nn.Identity()),
        digest=digest,
        device=torch.device(device),
        classes=5,
        trainable_share=1.0,
        sites=(),
        features="features",
        classifier="classifier",
    )


def _profile(name: str) -> ClassProfile:
    return ClassProfile(
        name=name,
        digest="ab" * 32,
        samples="cd" * 32,
        clean_accuracy=0.5,
        side=16,
        ordinary=np.arange(4),
        statistics={each: np.arange(5, dtype=np.float32) for each in STATISTICS},
    )


@pytest.fixture
def arguments(evidence: Evidence) -> dict[str, Any]:
    """Every argument that any stage of a scan takes, by name."""
    config = ScanConfig()
    site = SiteStatistics(mean=np.zeros(3, np.float32), deviation=np.ones(3, np.float32))
    assert evidence.samples
    assert evidence.precondition
    clean = evidence.precondition
    return {
        "twin": _twin(),
        "samples": evidence.samples,
        "statistics": (site,),
        "subject": Subject(twin=_twin(), samples=evidence.samples, clean=clean, sites=(site,)),
        "profile": _profile("judged"),
        "references": Vetted(kept=(_profile("before"),), remarks=("one is left out",)),
        "calibration": config.calibration,
        "noise": evidence.untargeted,
        "epsilon": 0.25,
        "seed": 0,
        "classes": np.arange(5),
        "screening": config.screen,
        "configs": config.searches,
        "by_stage": {
            "check_preconditions": config.precondition,
            **{f"find_{name}": settings for name, settings in config.searches.items()},
            "find_untargeted_noise": config.untargeted_noise,
            "find_mask": config.feature_mask,
            "judge": config.judge,
            "run_ban": config.published_ban,
        },
    }


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of one stage by the names it gives them."""
    wanted = STAGES[name].function.__annotations__
    named = {**arguments, "config": arguments["by_stage"].get(name)}
    return {each: named[each] for each in wanted if each != "return"}


def _key(name: str, call: dict[str, Any]) -> str:
    return keys.key_of(STAGES[name], keys.describe_inputs(STAGES[name], **call))


def _another(value: object) -> object:
    """A value of the same kind that is not equal."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return 0.97 * value + 0.0004
        case str():
            return f"another {value}"
        case None:
            return 0.125
    raise TypeError(value)


def _changes(value: Any) -> Iterator[Any]:
    """The same argument with one thing in it changed, once for each thing that counts."""
    match value:
        case TorchTwin():
            yield _twin(digest="cd" * 32)
            yield replace(value, arithmetic=Arithmetic(precision="bfloat16"))
            yield replace(value, arithmetic=Arithmetic(layout="channels_last"))
        case CleanSamples():
            brighter = value.images.copy()
            brighter[0, 0, 0, 0] += 1
            yield CleanSamples(images=brighter, labels=value.labels)
            yield CleanSamples(images=value.images, labels=value.labels[::-1])
        case (float(), *_):
            yield (_another(value[0]), *value[1:])
        case tuple():
            if value:
                yield (*value, *value)
                yield value[1:]
        case np.ndarray():
            changed = value.copy()
            changed.flat[-1] += 1
            yield changed
        case Mapping():
            for name, inner in value.items():
                yield {**value, f"another {name}": inner}
                yield from ({**value, name: each} for each in _changes(inner))
        case _ if is_dataclass(value):
            yield from _with_another_field(value)
        case _:
            yield _another(value)


def _with_another_field(value: Any) -> Iterator[Any]:
    """The same dataclass with one thing in one of its fields changed."""
    for field in fields(value):
        if field.metadata.get(AFFECTS_RESULT, True):
            for changed in _changes(getattr(value, field.name)):
                yield replace(value, **{field.name: changed})


@pytest.mark.parametrize("name", STAGES)
def test_whatever_a_stage_is_given_is_in_its_key(name: str, arguments: dict[str, Any]) -> None:
    """Seed, every setting, every number of an earlier result, samples, model: any change counts."""
    call = _call(name, arguments)
    found = {_key(name, call)}

    for argument, value in call.items():
        for changed in _changes(value):
            key = _key(name, {**call, argument: changed})

            assert key not in found, (argument, changed)
            found.add(key)

    assert len(found) > len(call)


@pytest.mark.parametrize("name", STAGES)
def test_equal_content_is_the_same_key(name: str, arguments: dict[str, Any]) -> None:
    """The device, the order in memory and a copy do not make another result."""
    call = _call(name, arguments)
    samples = arguments["samples"]
    copies = {
        "twin": _twin(device="meta"),
        "subject": replace(arguments["subject"], twin=_twin(device="meta")),
        "samples": CleanSamples(
            images=np.asfortranarray(samples.images), labels=samples.labels.copy()
        ),
    }

    same = {each: copies.get(each, value) for each, value in call.items()}

    assert _key(name, call) == _key(name, same)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_every_setting_of_a_search_but_its_memory_is_in_its_key(
    search: Search, arguments: dict[str, Any]
) -> None:
    """How much may be held at once is how, not what: results of one machine serve another."""
    name = f"find_{search.name}"
    call = _call(name, arguments)
    keyed = set()

    for field in fields(call["config"]):
        value = getattr(call["config"], field.name)
        changed = replace(call["config"], **{field.name: _another(value)})
        if _key(name, {**call, "config": changed}) != _key(name, call):
            keyed.add(field.name)

    assert keyed == {field.name for field in fields(search.settings)} - {"memory_mb"}


def test_where_a_calibration_comes_from_is_not_in_the_key(arguments: dict[str, Any]) -> None:
    """The same numbers written again on another day, by another command, give the same verdict."""
    call = _call("judge", arguments)
    origin = {"date": "2030-01-01", "command": "another"}
    known: Calibration = call["calibration"]
    again = replace(
        known,
        alone=replace(known.alone, **origin),
        referenced=replace(known.referenced, **origin),
        rows={name: replace(row, **origin) for name, row in known.rows.items()},
    )

    assert again != known
    assert _key("judge", {**call, "calibration": again}) == _key("judge", call)


def test_the_order_of_a_mapping_is_not_in_the_key() -> None:
    """Its names and what stands under each are."""
    one, turned = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    described = [keys.describe_inputs(echo, each) for each in (one, turned, {"a": 2, "b": 1})]
    found = [keys.key_of(echo, each) for each in described]

    assert found[0] == found[1] != found[2]


def test_no_two_stages_share_a_key(arguments: dict[str, Any]) -> None:
    """Name and version of a stage are in its key."""
    inputs = keys.describe_inputs(judge, **_call("judge", arguments))
    newer = stage(version=judge.version + 1)(judge.function)

    assert len({keys.key_of(each, inputs) for each in (*STAGES.values(), newer)}) == len(STAGES) + 1


@pytest.mark.parametrize(
    ("one", "other"),
    list(combinations([None, True, 1, 1.0, "1", "None", "", (), (1,), ((1,),), (1, 1), 1e-9], 2)),
    ids=repr,
)
def test_values_of_different_types_are_told_apart(one: object, other: object) -> None:
    """1, 1.0, true, "1" and (1,) are five inputs."""
    described = [keys.describe_inputs(echo, value) for value in (one, other)]

    assert keys.key_of(echo, described[0]) != keys.key_of(echo, described[1])


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.reshape(3, 2),
        lambda array: array.astype(np.float64),
        lambda array: -array,
        lambda array: array[::-1],
        lambda array: array.T,
    ],
    ids=["shape", "dtype", "sign of zero", "order", "transposed"],
)
def test_an_array_is_its_type_shape_and_numbers(
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Equal bytes in another shape, or equal numbers in another type, are another array."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    described = [keys.describe_inputs(echo, each) for each in (array, change(array))]

    assert keys.key_of(echo, described[0]) != keys.key_of(echo, described[1])


def test_equal_fields_of_another_type_are_another_input() -> None:
    """Two kinds of settings with the same fields are told apart by the kind's name."""
    described = keys.describe_inputs(echo, JudgeConfig())["value"]

    assert isinstance(described, dict)
    assert described["type"] == "JudgeConfig"


def test_a_model_is_its_bytes(make_artifact: Callable[..., OnnxArtifact]) -> None:
    """Where a model lies and who made it changes nothing."""
    one, moved = make_artifact(), make_artifact(producer="someone else")

    assert one.path != moved.path
    assert keys.describe_inputs(echo, one) == keys.describe_inputs(echo, moved)


def test_a_key_is_the_same_in_every_process_and_release() -> None:
    """Results stay known: this very key was computed when the test was written."""
    inputs = keys.describe_inputs(echo, (1, 0.5, "text", None, np.arange(3)))

    assert keys.key_of(echo, inputs).startswith("c7c875ecb24c7cff")


def test_a_call_that_does_not_fit_the_stage_has_no_key() -> None:
    """Too few arguments are found before anything is computed."""
    with pytest.raises(TypeError, match="missing a required argument"):
        keys.describe_inputs(judge)  # type: ignore[call-arg] # on purpose


@pytest.mark.parametrize("value", [{1}, {"a": {1}}, b"bytes", object(), np.float32(1), 1j])
def test_what_cannot_be_described_is_refused(value: object) -> None:
    """Nothing enters a key by its address or its `repr`."""
    with pytest.raises(TypeError, match="has no description to key it by"):
        keys.describe_inputs(echo, value)
