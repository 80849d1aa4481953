"""Results are found again by what made them, whole or not at all."""

from __future__ import annotations

import json
import logging
import math
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nph

from pipeline import entry
from pipeline.result import Evidence
from pipeline.store import Store
from stages.judge import judge
from stages.mask import find_mask
from stages.noise import find_targeted_noise, find_untargeted_noise
from stages.precondition import check_preconditions
from stages.reference import run_reference
from stages.sites import measure_sites
from stages.stage import Stage, stage
from stages.types import (
    CleanSamples,
    ParityResult,
    ReferenceResult,
    SiteStatistics,
    Statistic,
    UntargetedNoise,
    Verdict,
)

STAGES = (
    *(check_preconditions, measure_sites, find_targeted_noise, find_untargeted_noise),
    *(find_mask, judge, run_reference),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a stage that only exists here."""

    factor: float = 2.0


calls: list[str] = []


@stage(version=1)
def double(samples: CleanSamples, config: Settings, seed: int = 0) -> SiteStatistics:
    """A stage that counts its calls."""
    calls.append("double")
    total = samples.images.sum(keepdims=False).reshape(1) * config.factor + seed
    return SiteStatistics(mean=total.astype(np.float32), deviation=np.ones(1, np.float32))


@stage(version=1)
def fail(seed: int) -> SiteStatistics:
    """A stage that never succeeds."""
    raise RuntimeError(f"cannot {seed}")


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    calls.clear()


@pytest.fixture
def samples() -> CleanSamples:
    return _samples(1.0)


def _samples(value: float) -> CleanSamples:
    return CleanSamples(
        images=np.full((2, 1, 2, 2), value, np.float32), labels=np.array([0, 1], np.int64)
    )


def _same(one: object, other: object) -> bool:
    """Equal type and content, arrays with dtype; dataclasses with arrays define no equality."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        array = cast("np.ndarray", other)
        return one.dtype == array.dtype and np.array_equal(one, array, equal_nan=True)
    if isinstance(one, tuple):
        pairs = zip(one, cast("tuple[object, ...]", other), strict=True)
        return all(_same(mine, theirs) for mine, theirs in pairs)
    if is_dataclass(one):
        return all(_same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return one == other


def _entry(root: Path) -> Path:
    (found,) = root.glob("*/*")
    return found


def test_second_run_reads_the_first_ones_result(tmp_path: Path, samples: CleanSamples) -> None:
    """A stage runs once for the same arguments, also in another process's store."""
    first = Store(tmp_path).run(double, samples, Settings())
    store = Store(tmp_path)

    second = store.run(double, samples, Settings())

    assert calls == ["double"]
    assert _same(first, second)
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
        lambda store: store.run(double, _samples(2.0), Settings()),
        lambda store: store.run(double, _samples(1.0), Settings(factor=3.0)),
        lambda store: store.run(double, _samples(1.0), Settings(), seed=1),
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
    def use(noise: UntargetedNoise, device: torch.device) -> ReferenceResult:
        calls.append(f"use on {device}")
        return ReferenceResult(predictions=noise.predictions, share=1.0, accuracy=0.5)

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


RESULTS = ["parity", "precondition", "targeted", "untargeted", "mask"]


@pytest.mark.parametrize("name", RESULTS)
def test_every_kind_of_evidence_survives_a_round_trip(
    tmp_path: Path, evidence: Evidence, name: str
) -> None:
    """What is read equals what was written, in type, shape, dtype and value."""
    value = getattr(evidence, name)

    entry.write(tmp_path, value, type(value), {})

    assert _same(value, entry.read(tmp_path, type(value)))


def test_verdicts_and_tuples_survive_a_round_trip(
    tmp_path: Path, make_result: Callable[..., object]
) -> None:
    """The same for a verdict with statistics, a tuple of results, and the reference's result."""
    site = SiteStatistics(mean=np.zeros(3, np.float32), deviation=np.full(3, np.nan, np.float32))
    counts = ReferenceResult(predictions=np.arange(3), share=0.1, accuracy=1 / 3)
    verdict = make_result().verdict  # type: ignore[attr-defined] # the fixture gives a ScanResult
    cases: list[tuple[object, object]] = [
        (verdict, Verdict),
        (Verdict(label="clean", reasons=()), Verdict),
        ((site, site), tuple[SiteStatistics, ...]),
        ((), tuple[SiteStatistics, ...]),
        (counts, ReferenceResult),
    ]
    for number, (value, kind) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()

        entry.write(folder, value, kind, {})

        assert _same(value, entry.read(folder, cast("type", kind)))


@pytest.mark.parametrize("name", [entry.VALUES, entry.ARRAYS, entry.COMPLETE])
@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "missing"])
def test_a_damaged_entry_is_computed_again(
    tmp_path: Path,
    samples: CleanSamples,
    caplog: pytest.LogCaptureFixture,
    name: str,
    damage: str,
) -> None:
    """Whatever happened to a file, the result is right, and the entry is whole afterwards."""
    expected = Store(tmp_path).run(double, samples, Settings())
    _damage(_entry(tmp_path) / name, damage)

    found = Store(tmp_path).run(double, samples, Settings())

    assert _same(expected, found)
    assert len(calls) == 2
    assert _same(expected, entry.read(_entry(tmp_path), SiteStatistics))
    silent = name == entry.COMPLETE and damage == "missing"  # such an entry was never complete
    assert silent or "unreadable" in caplog.text


def _damage(path: Path, damage: str) -> None:
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        path.write_bytes(
            {
                "empty": b"",
                "cut": content[:middle],
                "changed": content[:middle] + flipped + content[middle + 1 :],
            }[damage]
        )


def test_an_entry_of_another_shape_is_computed_again(tmp_path: Path, samples: CleanSamples) -> None:
    """Values that do not fit the type are as good as unreadable."""
    Store(tmp_path).run(double, samples, Settings())
    place = _entry(tmp_path)
    facts = json.loads((place / entry.COMPLETE).read_text())
    (place / entry.VALUES).write_text('{"mean": "array0", "surprise": 1}')
    facts["sha256"][entry.VALUES] = entry._digest(place / entry.VALUES)
    (place / entry.COMPLETE).write_text(json.dumps(facts))

    Store(tmp_path).run(double, samples, Settings())

    assert len(calls) == 2


def test_a_failed_stage_leaves_nothing_behind(tmp_path: Path) -> None:
    """Only results are kept; the time until the failure is noted."""
    store = Store(tmp_path)

    with pytest.raises(RuntimeError, match="cannot 1"):
        store.run(fail, 1)

    assert list(tmp_path.rglob("*.json")) == []
    assert list(store.seconds) == ["fail"]


def test_racing_processes_agree_on_one_entry(tmp_path: Path, samples: CleanSamples) -> None:
    """If the place is taken, the result there is used, and no draft remains."""
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(Store(tmp_path).run, double, samples, Settings()) for _ in range(12)]
        results = [run.result() for run in runs]

    assert all(_same(results[0], result) for result in results)
    assert len(list(tmp_path.glob("*/*"))) == 1
    assert list(tmp_path.rglob(".draft-*")) == []


def test_an_unwritable_root_costs_only_the_memory(
    tmp_path: Path, samples: CleanSamples, caplog: pytest.LogCaptureFixture
) -> None:
    """A scan goes on when its results cannot be kept."""
    root = tmp_path / "file"
    root.write_text("not a folder")

    result = Store(root).run(double, samples, Settings())

    assert result.mean.shape == (1,)
    assert "not kept" in caplog.text


def test_no_pickle_is_written_or_read(tmp_path: Path, samples: CleanSamples) -> None:
    """An entry with a pickled array in it is not opened."""
    Store(tmp_path).run(double, samples, Settings())
    place = _entry(tmp_path)
    np.savez(place / entry.ARRAYS, array0=np.array([{}], dtype=object))
    facts = json.loads((place / entry.COMPLETE).read_text())
    facts["sha256"][entry.ARRAYS] = entry._digest(place / entry.ARRAYS)
    (place / entry.COMPLETE).write_text(json.dumps(facts))

    with pytest.raises(ValueError, match="allow_pickle"):
        entry.read(place, SiteStatistics)


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
    assert list(store.seconds) == ["double", "read samples"]
    assert len(caplog.records) == 2


RACE = """
import sys, time
from pathlib import Path
import numpy as np
from pipeline.store import Store
from stages.stage import stage
from stages.types import SiteStatistics

root, mine, other = map(Path, sys.argv[1:])

@stage(version=1)
def race(seed: int) -> SiteStatistics:
    mine.touch()
    while not other.exists():
        time.sleep(0.01)
    return SiteStatistics(mean=np.full(100_000, seed, np.float32), deviation=np.ones(3, np.float32))

store = Store(root)
print(store.run(race, 5).mean.sum(), len(store.reused))
"""


def test_two_processes_may_compute_the_same_at_once(tmp_path: Path, child: dict[str, str]) -> None:
    """Both are inside the stage at once; both get the result, and one whole entry stays."""
    one, other, root = tmp_path / "one", tmp_path / "other", tmp_path / "root"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, root, *flags],
            env=child, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for flags in ((one, other), (other, one))
    ]  # fmt: skip

    told = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], told
    assert [stdout.split() for stdout, _ in told] == [["500000.0", "0"]] * 2
    kept = entry.read(_entry(root), SiteStatistics)
    assert kept.mean.sum() == 500_000
    assert list(root.rglob(".draft-*")) == []


def test_the_result_of_a_faster_process_is_used(tmp_path: Path, samples: CleanSamples) -> None:
    """If the place was taken while a stage ran, what stands there is the result."""

    @stage(version=1)
    def slow(samples: CleanSamples) -> ReferenceResult:
        calls.append("slow")
        if len(calls) == 1:
            Store(tmp_path).run(slow, samples)  # the faster process
        return ReferenceResult(
            predictions=samples.labels, share=1.0 / len(calls), accuracy=float(len(calls))
        )

    first = Store(tmp_path).run(slow, samples)
    again = Store(tmp_path).run(slow, samples)

    assert calls == ["slow", "slow"]
    assert _same(first, again)


def test_a_place_that_is_a_file_is_not_a_result(
    tmp_path: Path, samples: CleanSamples, caplog: pytest.LogCaptureFixture
) -> None:
    """Something else in the place of an entry costs the memory, not the scan."""
    Store(tmp_path).run(double, samples, Settings())
    place = _entry(tmp_path)
    shutil.rmtree(place)
    place.write_text("in the way")

    result = Store(tmp_path).run(double, samples, Settings())

    assert result.mean.shape == (1,)
    assert "not kept" in caplog.text
    assert list(tmp_path.rglob(".draft-*")) == []


def test_an_entry_tells_where_it_comes_from(tmp_path: Path, samples: CleanSamples) -> None:
    """Stage, version, inputs, time and library versions stand beside the result, readable."""
    Store(tmp_path).run(double, samples, Settings(factor=3.0), seed=9)

    facts = json.loads((_entry(tmp_path) / entry.COMPLETE).read_text())

    assert (facts["schema"], facts["stage"], facts["version"]) == (1, "double", 1)
    assert facts["inputs"]["samples"] == samples.digest
    assert facts["inputs"]["config"] == {"type": "Settings", "factor": 3.0}
    assert facts["inputs"]["seed"] == 9
    assert {"numpy", "torch"} <= set(facts["versions"])
    assert datetime.fromisoformat(facts["created"]) <= datetime.now(UTC)


SHAPES = nph.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
DTYPES = st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_])


@given(
    counts=nph.arrays(np.int64, SHAPES),
    curve=nph.arrays(np.float32, nph.array_shapes(max_dims=1, max_side=6)),
    scale=st.lists(nph.arrays(DTYPES, SHAPES), max_size=3),
    number=st.floats(),
)
@hypothesis.settings(deadline=None, max_examples=40)
def test_any_numbers_survive_a_round_trip(
    counts: np.ndarray, curve: np.ndarray, scale: list[np.ndarray], number: float
) -> None:
    """Empty, scalar, NaN, infinite and subnormal: type, shape and every bit come back.

    But for the sign of a single NaN, which JSON does not have.
    """
    value = UntargetedNoise(
        epsilon=number,
        scale=tuple(scale),
        shift=(),
        loss=curve,
        predictions=counts,
        accuracy=-number,
    )
    with tempfile.TemporaryDirectory() as folder:
        entry.write(Path(folder), value, UntargetedNoise, {})

        found = entry.read(Path(folder), UntargetedNoise)

    assert _same(
        replace(value, epsilon=0.0, accuracy=0.0), replace(found, epsilon=0.0, accuracy=0.0)
    )
    same_bits = struct.pack("d", found.epsilon) == struct.pack("d", number)
    assert same_bits or (math.isnan(number) and math.isnan(found.epsilon))
    assert not found.loss.flags.writeable


@given(text=st.text(), p_value=st.none() | st.floats(allow_nan=False))
@hypothesis.settings(deadline=None, max_examples=40)
def test_any_sentence_survives_a_round_trip(text: str, p_value: float | None) -> None:
    """Reasons quote names from model files, so they hold any character."""
    statistic = Statistic(
        name=text, per_class=(0.1, float("inf")), value=1.0, suspected_class=1, p_value=p_value
    )
    value = Verdict(
        label="clean", reasons=(text, text[::-1]), p_value=p_value, statistics=(statistic,)
    )
    with tempfile.TemporaryDirectory() as folder:
        entry.write(Path(folder), value, Verdict, {"inputs": text})

        found = entry.read(Path(folder), Verdict)

    assert _same(value, found)


@pytest.mark.parametrize("each", [*STAGES], ids=lambda each: each.name)
def test_the_result_of_every_stage_can_be_kept(
    each: Stage[..., object], evidence: Evidence
) -> None:
    """What a scan keeps, by the type its stage promises; a new stage must come with an example."""
    site = SiteStatistics(mean=np.zeros(3, np.float32), deviation=np.ones(3, np.float32))
    examples = {
        "check_preconditions": evidence.precondition,
        "measure_sites": (site, site),
        "find_targeted_noise": evidence.targeted,
        "find_untargeted_noise": evidence.untargeted,
        "find_mask": evidence.mask,
        "judge": Verdict(label="backdoored", reasons=("because",), suspected_class=3, score=1.5),
        "run_reference": ReferenceResult(predictions=np.arange(3), share=0.5, accuracy=0.25),
    }
    value = examples[each.name]
    with tempfile.TemporaryDirectory() as folder:
        entry.write(Path(folder), value, each.result_type, {})

        found = entry.read(Path(folder), each.result_type)

    assert _same(value, found)
