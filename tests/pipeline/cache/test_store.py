"""Results are found again by what made them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
import torch

from pipeline.cache.store import Store
from pipeline.evidence import Evidence
from stages.published.results import BanResult, UntargetedNoise
from stages.stage import stage
from stages.types import CleanSamples, ParityResult, SiteStatistics
from tests.support.counted_stages import Settings, calls, double, same, samples_of


@stage(version=1)
def fail(seed: int) -> SiteStatistics:
    """A stage that never succeeds."""
    raise RuntimeError(f"cannot {seed}")


def test_second_run_reads_the_first_ones_result(tmp_path: Path, samples: CleanSamples) -> None:
    """A stage runs once for the same arguments, also in another process's store."""
    first = Store(tmp_path).run(double, samples, Settings())
    store = Store(tmp_path)

    second = store.run(double, samples, Settings())

    assert calls == ["double"]
    assert same(first, second)
    assert store.reused == ["double"]


def test_no_root_remembers_nothing(samples: CleanSamples) -> None:
    """Without a root every run computes."""
    store = Store(None)

    store.run(double, samples, Settings())
    store.run(double, samples, Settings())

    assert calls == ["double", "double"]
    assert store.reused == []


def test_the_way_of_passing_an_argument_changes_nothing(
    tmp_path: Path, samples: CleanSamples
) -> None:
    """Positional, by keyword, or left at its default: the same argument, the same key."""
    store = Store(tmp_path)

    store.run(double, samples, Settings())
    store.run(double, samples=samples, config=Settings(), seed=0)

    assert calls == ["double"]


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.run(double, samples_of(2.0), Settings()),
        lambda store: store.run(double, samples_of(1.0), Settings(factor=3.0)),
        lambda store: store.run(double, samples_of(1.0), Settings(), seed=1),
    ],
    ids=["samples", "config", "seed"],
)
def test_whatever_changes_the_result_changes_the_key(
    tmp_path: Path, samples: CleanSamples, change: Callable[[Store], object]
) -> None:
    """Other samples, settings or seed are another result."""
    store = Store(tmp_path)
    store.run(double, samples, Settings())

    change(store)

    assert len(calls) == 2
    assert store.reused == []


def test_a_new_version_of_a_stage_forgets_the_old_results(
    tmp_path: Path, samples: CleanSamples
) -> None:
    """The version is part of the key."""
    newer = stage(version=2)(double.function)
    store = Store(tmp_path)
    store.run(double, samples, Settings())

    store.run(newer, samples, Settings())

    assert len(calls) == 2


def test_earlier_results_are_keyed_by_their_content(tmp_path: Path, evidence: Evidence) -> None:
    """A stage that takes another stage's result runs again when an array in it changed."""

    @stage(version=1)
    def use(noise: UntargetedNoise, device: torch.device) -> BanResult:
        calls.append(f"use on {device}")
        return BanResult(predictions=noise.predictions, share=1.0, accuracy=0.5)

    noise = cast("UntargetedNoise", evidence.untargeted)
    changed = UntargetedNoise(
        epsilon=noise.epsilon,
        scale=(noise.scale[1], noise.scale[0]),
        shift=noise.shift,
        loss=noise.loss,
        predictions=noise.predictions,
        accuracy=noise.accuracy,
    )
    store = Store(tmp_path)

    store.run(use, noise, torch.device("cpu"))
    store.run(use, noise, torch.device("cuda"))
    store.run(use, changed, torch.device("cpu"))

    assert calls == ["use on cpu", "use on cpu"], "the device is no part of the key, the content is"


def test_an_input_without_description_is_an_error(tmp_path: Path) -> None:
    """No input is left out of the key by accident."""

    @stage(version=1)
    def use(anything: object) -> ParityResult:
        raise AssertionError(anything)

    with pytest.raises(TypeError, match="`set` has no description"):
        Store(tmp_path).run(use, {1, 2})


def test_every_step_is_timed_announced_and_logged(
    samples: CleanSamples, caplog: pytest.LogCaptureFixture
) -> None:
    """One watch, one time and one log line per step, for stages and for other steps."""
    watched: list[str] = []

    @contextmanager
    def watch(name: str) -> Iterator[None]:
        watched.append(name)
        yield
        watched.append(f"end of {name}")

    caplog.set_level(logging.INFO, "pipeline")
    store = Store(None, watch)

    store.run(double, samples, Settings())
    with store.timed("read samples"):
        pass

    assert watched == ["double", "end of double", "read samples", "end of read samples"]
    assert list(store.seconds) == store.done == ["double", "read samples"]
    assert len(caplog.records) == 2


def test_a_failed_stage_leaves_nothing_behind(tmp_path: Path) -> None:
    """Only results are kept; the time until the failure is noted."""
    store = Store(tmp_path)

    with pytest.raises(RuntimeError, match="cannot 1"):
        store.run(fail, 1)

    assert list(tmp_path.rglob("*.json")) == []
    assert list(store.seconds) == ["fail"]
    assert store.done == []
