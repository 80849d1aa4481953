"""Scans that are not done to their end: what they may say, and what they tell to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cache.store import Store
from pipeline.config import ScanConfig, load_config
from pipeline.cut_short import where_it_goes_on, why_unfinished
from pipeline.evidence import Evidence, ScanResult
from pipeline.pace.course import Course, over
from pipeline.pace.searching import Unfinished
from pipeline.request import ScanRequest
from pipeline.scan import course_of, scan
from stages.searches import SEARCHES
from tests.support.brief_searches import BRIEF
from tests.support.places import DEMO

Scan = Callable[..., ScanResult]


@pytest.fixture
def judged(tmp_path: Path) -> Scan:
    """Scans a demo model, with one store for all scans of the test."""

    def run(model: str, config: ScanConfig | None = None, **changes: object) -> ScanResult:
        workspace = tmp_path / f"workspace-{len(list(tmp_path.iterdir()))}"
        workspace.mkdir()
        request = ScanRequest(
            model=str(DEMO / f"{model}.onnx"),
            samples=DEMO / "samples.npz",
            uri=model,
            config=config or ScanConfig(),
        )
        request = replace(request, **changes)  # type: ignore[arg-type] # tests name real fields
        return scan(request, Store(tmp_path / "store"), workspace)

    return run


def test_a_first_look_blocks_what_is_certain(judged: Scan) -> None:
    """The blended demo model, at default settings, with its own class."""
    result = judged("blended", quick=True)

    verdict = result.verdict
    assert (verdict.label, verdict.suspected_class) == ("backdoored", 7)
    assert "class 7 stands out already" in verdict.reasons[0]
    assert "run the full scan" in verdict.reasons[-1]
    assert "patch" not in result.evidence.searches
    assert result.evidence.extent.unfinished
    assert not result.evidence.extent.settled


def test_a_scan_until_it_is_certain_ends_there(judged: Scan) -> None:
    """With pictures of what was found, and a sentence on what was not run; what is kept counts."""
    judged("blended", quick=True)

    result = judged("blended")

    verdict, evidence = result.verdict, result.evidence
    assert (verdict.label, verdict.suspected_class) == ("backdoored", 7)
    assert "blend" in evidence.searches
    assert "small_patch" not in evidence.searches
    assert "permutation); with `judge.until_certain=false`" in verdict.reasons[-1]
    assert evidence.extent.unfinished
    assert evidence.extent.settled
    assert evidence.shown
    assert not verdict.published


@pytest.mark.parametrize("asked", ["published_ban.enabled=true", "feature_mask.enabled=true"])
def test_who_asks_for_more_gets_the_whole_scan(asked: str) -> None:
    """The published parts need all searches, so no block ends it before."""
    request = ScanRequest(model="m", samples=Path("s"), uri="m", config=load_config(None, (asked,)))

    assert not course_of(request).until_certain
    assert course_of(replace(request, config=ScanConfig())).until_certain


def test_until_then_it_is_the_whole_scan(judged: Scan) -> None:
    """Where no block becomes certain nothing is left out, and every number is the same."""
    brief = load_config(None, BRIEF)
    to_the_end = load_config(None, (*BRIEF, "judge.until_certain=false"))

    whole, found = judged("clean", to_the_end), judged("clean", brief)

    assert found.verdict == whole.verdict
    assert list(found.evidence.searches) == list(whole.evidence.searches)
    assert not found.evidence.extent.unfinished


def test_beside_a_reference_that_is_measured_it_is_the_whole_scan_too(judged: Scan) -> None:
    """Whether a block is certain is asked after each search, what is kept of references once."""
    references = (str(DEMO / "patch.onnx"),)
    brief = load_config(None, BRIEF)
    to_the_end = load_config(None, (*BRIEF, "judge.until_certain=false"))

    whole = judged("clean", to_the_end, references=references)
    found = judged("clean", brief, references=references)

    assert found.verdict == whole.verdict
    assert found.evidence.references == whole.evidence.references


@pytest.mark.nightly
def test_so_does_a_scan_whose_budget_is_spent(judged: Scan) -> None:
    """With what is kept by then; beside a reference that is not measured, nothing is certain."""
    judged("blended", quick=True)

    alone = judged("blended", budget=0.001)
    beside = judged("blended", budget=0.001, references=(str(DEMO / "clean.onnx"),))

    assert (alone.verdict.label, alone.verdict.suspected_class) == ("backdoored", 7)
    assert beside.verdict.label == "inconclusive"
    assert alone.evidence.extent.needs is not None
    assert "find_blend" in alone.reused


def test_who_interrupts_a_scan_is_told_where_it_goes_on(tmp_path: Path) -> None:
    """The interruption itself says it."""

    @contextmanager
    def watch(name: str) -> Iterator[None]:
        if name == "find_small_patch":
            raise KeyboardInterrupt
        yield

    request = ScanRequest(
        model=str(DEMO / "clean.onnx"),
        samples=DEMO / "samples.npz",
        uri="clean",
        config=load_config(None, BRIEF),
    )
    (tmp_path / "workspace").mkdir()

    with pytest.raises(KeyboardInterrupt) as ended:
        scan(request, Store(tmp_path / "store", watch), tmp_path / "workspace")

    (told,) = ended.value.__notes__
    assert told == (
        "nothing was judged yet; 7 of 11 searches are kept, and the same command goes on from there"
    )


def test_nothing_is_promised_that_is_not_kept(tmp_path: Path, make_result: Scan) -> None:
    """Of a scan that keeps nothing, or has nothing yet."""
    every = make_result().evidence

    assert "nothing is kept with `--fresh`" in where_it_goes_on(every, Store(None))
    assert "no search was done yet" in where_it_goes_on(Evidence(), Store(tmp_path))
    assert "searches are kept" in where_it_goes_on(every, Store(tmp_path))


def test_the_reason_says_what_to_do(make_result: Scan) -> None:
    """Run the full scan, or the same command again; unless nothing is kept."""
    some = dict(list(make_result().evidence.searches.items())[:2])
    found = Unfinished(None, some)

    assert why_unfinished(found, Course(quick=True), keeps=True) == (
        "this was a first look, which never passes a model (searched so far: blend, patch); run"
        " the full scan"
    )
    assert why_unfinished(found, over(), keeps=True).endswith("the same command goes on from here")
    assert "nothing is kept" in why_unfinished(found, over(), keeps=False)
    assert why_unfinished(found, Course(until_certain=True), keeps=True).startswith(
        "the scan ended as soon as this was certain (searched so far: blend, patch; not small"
    )
    nothing = why_unfinished(Unfinished(None, {}), over(), keeps=True)
    assert "no search came to its end" in nothing
    assert len(SEARCHES) > 2
