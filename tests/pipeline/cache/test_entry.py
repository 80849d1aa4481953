"""One kept result: what is written is read back, in type, shape and every bit."""

from __future__ import annotations

import json
import math
import struct
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nph

from pipeline.cache import entry
from pipeline.cache.store import Store
from pipeline.evidence import Evidence
from stages.published.ban import run_ban
from stages.published.feature_mask import find_mask
from stages.published.results import BanResult, UntargetedNoise
from stages.published.untargeted_noise import find_untargeted_noise
from stages.searches import SEARCHES
from stages.searches.screen import Chosen, choice_of, stage_of
from stages.searches.search import Effort, Search, SearchResult
from stages.stage import Stage
from stages.twin.arithmetic import choose_arithmetic
from stages.twin.precondition import check_preconditions
from stages.twin.sites import measure_sites
from stages.types import Arithmetic, CleanSamples, SiteStatistics, Statistic, Verdict
from stages.verdict.decide import judge
from tests.support.counted_stages import Settings, double, entry_in, same

STAGES: tuple[Stage[..., object], ...] = (
    *(
        choose_arithmetic,
        check_preconditions,
        measure_sites,
        choice_of(SEARCHES),
        *map(stage_of, SEARCHES),
    ),
    *(judge, find_untargeted_noise, find_mask, run_ban),
)

RESULTS = ["parity", "precondition", "untargeted", "mask"]


@pytest.mark.parametrize("name", RESULTS)
def test_every_kind_of_evidence_survives_a_round_trip(
    tmp_path: Path, evidence: Evidence, name: str
) -> None:
    """What is read equals what was written, in type, shape, dtype and value."""
    value = getattr(evidence, name)

    entry.write(tmp_path, value, type(value), {})

    assert same(value, entry.read(tmp_path, type(value)))


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_what_a_search_says_survives_a_round_trip(
    tmp_path: Path, evidence: Evidence, search: Search
) -> None:
    """With its trigger of whichever kind, its success, its sweep, and a mapping of classes."""
    found = replace(evidence.searches[search.name], mapping=np.arange(5)[::-1].copy())
    bare = replace(found, trigger=None, success=None, sweep=None, mapping=None)
    for number, value in enumerate((found, bare)):
        folder = tmp_path / str(number)
        folder.mkdir()

        entry.write(folder, value, SearchResult, {})

        read = entry.read(folder, SearchResult)
        assert same(value, read)
        assert not any(values.flags.writeable for values in read.statistics.values())


def test_verdicts_and_tuples_survive_a_round_trip(
    tmp_path: Path, make_result: Callable[..., object]
) -> None:
    """The same for a verdict with statistics, a tuple of results, and a published algorithm's."""
    site = SiteStatistics(mean=np.zeros(3, np.float32), deviation=np.full(3, np.nan, np.float32))
    counts = BanResult(predictions=np.arange(3), share=0.1, accuracy=1 / 3)
    verdict = make_result().verdict  # type: ignore[attr-defined] # the fixture gives a ScanResult
    cases: list[tuple[object, object]] = [
        (verdict, Verdict),
        (Verdict(label="clean", reasons=()), Verdict),
        ((site, site), tuple[SiteStatistics, ...]),
        ((), tuple[SiteStatistics, ...]),
        (counts, BanResult),
    ]
    for number, (value, kind) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()

        entry.write(folder, value, kind, {})

        assert same(value, entry.read(folder, cast("type", kind)))


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

    assert same(
        replace(value, epsilon=0.0, accuracy=0.0), replace(found, epsilon=0.0, accuracy=0.0)
    )
    same_bits = struct.pack("d", found.epsilon) == struct.pack("d", number)
    assert same_bits or (math.isnan(number) and math.isnan(found.epsilon))
    assert not found.loss.flags.writeable


@given(text=st.text(), p_value=st.none() | st.floats(allow_nan=False), is_bound=st.booleans())
@hypothesis.settings(deadline=None, max_examples=40)
def test_any_sentence_survives_a_round_trip(
    text: str, p_value: float | None, is_bound: bool
) -> None:
    """Reasons quote names from model files, so they hold any character."""
    statistic = Statistic(name=text, unit=text[::-1], per_class=(0.1, None, float("inf")))
    value = Verdict(
        label="clean",
        reasons=(text, text[::-1]),
        p_value=p_value,
        p_is_bound=is_bound,
        class_scores=(0.1, 0.2),
        outside=text,
        statistics=(statistic,),
        published=(statistic, statistic),
    )
    with tempfile.TemporaryDirectory() as folder:
        entry.write(Path(folder), value, Verdict, {"inputs": text})

        found = entry.read(Path(folder), Verdict)

    assert same(value, found)


@pytest.mark.parametrize("each", [*STAGES], ids=lambda each: each.name)
def test_the_result_of_every_stage_can_be_kept(
    each: Stage[..., object], evidence: Evidence
) -> None:
    """What a scan keeps, by the type its stage promises; a new stage must come with an example."""
    site = SiteStatistics(mean=np.zeros(3, np.float32), deviation=np.ones(3, np.float32))
    examples = {
        "choose_arithmetic": Arithmetic(layout="channels_last"),
        "check_preconditions": evidence.precondition,
        "measure_sites": (site, site),
        "choose_classes": Chosen(
            classes=np.arange(7),
            ordinary=np.arange(3),
            looked={"blend": Effort(steps=4, images=16)},
        ),
        **{f"find_{name}": result for name, result in evidence.searches.items()},
        "find_untargeted_noise": evidence.untargeted,
        "find_mask": evidence.mask,
        "judge": Verdict(label="backdoored", reasons=("because",), anomaly_score=1.5),
        "run_ban": BanResult(predictions=np.arange(3), share=0.5, accuracy=0.25),
    }
    value = examples[each.name]
    with tempfile.TemporaryDirectory() as folder:
        entry.write(Path(folder), value, each.result_type, {})

        found = entry.read(Path(folder), each.result_type)

    assert same(value, found)


def test_an_entry_tells_where_it_comes_from(tmp_path: Path, samples: CleanSamples) -> None:
    """Stage, version, inputs, time and library versions stand beside the result, readable."""
    Store(tmp_path).run(double, samples, Settings(factor=3.0), seed=9)

    facts = json.loads((entry_in(tmp_path) / entry.COMPLETE).read_text())

    assert (facts["schema"], facts["stage"], facts["version"]) == (1, "double", 1)
    assert facts["inputs"]["samples"] == samples.digest
    assert facts["inputs"]["config"] == {"type": "Settings", "factor": 3.0}
    assert facts["inputs"]["seed"] == 9
    assert {"numpy", "torch"} <= set(facts["versions"])
    assert datetime.fromisoformat(facts["created"]) <= datetime.now(UTC)
