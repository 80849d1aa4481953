"""Near the limit the verdict is that of the median of three seeds, of which two may be enough."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache.store import Store
from pipeline.config import load_config
from pipeline.judging import score_of, settled
from pipeline.request import ScanRequest
from pipeline.scan import scan
from stages.types import Verdict
from tests.support.brief_searches import BRIEF
from tests.support.places import DEMO

LIMIT = 5.0
SCORES = st.one_of(st.none(), st.floats(0.1, 10))
"""None: one that cannot be judged."""


def opinion(score: float | None) -> Verdict:
    """A verdict by a score, with the limit that all seeds have in common."""
    label = "inconclusive" if score is None else "backdoored" if score >= LIMIT else "clean"
    return Verdict(label=label, reasons=(), anomaly_score=score)


@given(st.lists(SCORES, min_size=3, max_size=3))
def test_two_that_agree_have_the_verdict_of_the_median_of_three(given: list[float | None]) -> None:
    """Whatever the third says; and its score is not further from the limit than the median's."""
    for three in permutations(map(opinion, given)):
        median = sorted(three, key=score_of)[1]

        early = settled(three[:2])

        assert settled(three) is median
        if early is not None and early.label != "inconclusive":
            assert early.label == median.label
            assert abs(score_of(early) - LIMIT) <= abs(score_of(median) - LIMIT)


def test_a_third_is_asked_where_two_differ() -> None:
    """Also where one cannot be judged."""
    for one, other in [(4.0, 6.0), (4.0, None), (None, 6.0)]:
        assert settled([opinion(one), opinion(other)]) is None


def by_seed(folder: Path, *overrides: str) -> Verdict:
    """What a brief scan of the clean demo model says; what is searched is kept in the folder."""
    request = ScanRequest(
        model=str(DEMO / "clean.onnx"),
        samples=DEMO / "samples.npz",
        uri="clean",
        config=load_config(None, (*BRIEF, *overrides)),
    )
    with TemporaryDirectory() as workspace:
        return scan(request, Store(folder), Path(workspace)).verdict


def test_a_scan_near_the_limit_asks_as_many_seeds_as_it_takes(tmp_path: Path) -> None:
    """With a limit below which both are, and with one between them: the verdict is one of those
    that each seed has by itself, and its sentence has all that were asked.
    """
    alone = [by_seed(tmp_path, f"seed={each}", "judge.near=1") for each in range(3)]
    scores = [each.anomaly_score or 0.0 for each in alone]
    first, second, _ = (each.p_value or 0.0 for each in alone)
    between, below = (first * second) ** 0.5, min(first, second) / 2

    agreed = by_seed(tmp_path, f"judge.false_alarm_rate={below}", "judge.near=100")
    asked = by_seed(tmp_path, f"judge.false_alarm_rate={between}", "judge.near=100")

    assert agreed.label == "clean"
    assert agreed.anomaly_score == max(scores[:2])
    told = f"scores of 2 seeds are {scores[0]:.2f}, {scores[1]:.2f}; the one nearer to the limit"
    assert told in agreed.reasons[-1]
    assert asked.anomaly_score == sorted(scores)[1]
    assert f"of 3 seeds are {', '.join(f'{each:.2f}' for each in scores)}" in asked.reasons[-1]
