"""The verdict on a searched model: of one seed, or near the limit the median one of three.

What a search finds depends a little on the samples and starts that its seed draws. Where p lies
within a factor of `judge.near` of the false-alarm rate, the searches are run twice more with seeds
of their own, and the verdict with the median anomaly score counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.config import LARGEST_SEED, ScanConfig
from pipeline.pace.searching import search_all
from pipeline.run import Run
from stages.searches.search import SearchResult, Subject
from stages.types import Verdict
from stages.verdict.decide import judge
from stages.verdict.profile import ClassProfile, profile_of
from stages.verdict.vetting import Vetted

FURTHER = (1, 2)
"""What is added to the seed for the second and the third opinion."""


def judged(
    subject: Subject,
    first: ClassProfile,
    results: Mapping[str, SearchResult],
    references: Vetted,
    run: Run,
) -> tuple[Verdict, Mapping[str, SearchResult]]:
    """The verdict on a model whose `first` profile and `results` are those of the scan's seed, and
    the results that it is about.

    It takes no time beside the searches, so it is always made anew.
    Notes the searches that the verdict is about, where it is not the first seed's.

    Raises:
        Unfinished: the time of the course is over before the further seeds are searched.
    """
    config = run.config
    verdict = run.store.compute(judge, first, references, config.calibration, config.judge)
    if not is_near(verdict, config):
        return verdict, results
    quiet = run.store.quiet()
    found = [(verdict, results)]
    for seed in further_seeds(config.seed):
        seeded = replace(config, seed=seed)
        chosen, again = search_all(subject, seeded, quiet, course=run.course, crew=run.crew)
        profile = profile_of(first.name, subject, chosen, again)
        opinion = quiet.compute(judge, profile, references, config.calibration, config.judge)
        found.append((opinion, again))
    found.sort(key=lambda each: score_of(each[0]))
    median, searches = found[len(found) // 2]
    run.note(searches=dict(searches))
    values = ", ".join(f"{max(each.class_scores):.2f}" for each, _ in found)
    reason = f"near the limit: anomaly scores of three seeds are {values}, and the median counts"
    return replace(median, reasons=(*median.reasons, reason)), searches


def further_seeds(seed: int) -> tuple[int, ...]:
    """The seeds of the second and the third opinion, beside that of the first."""
    return tuple((seed + further) % LARGEST_SEED for further in FURTHER)


def score_of(verdict: Verdict) -> float:
    """What opinions are ordered by; one without a score comes first."""
    return verdict.anomaly_score or 0.0


def is_near(verdict: Verdict, config: ScanConfig) -> bool:
    """Whether p lies within a factor of `judge.near` of the false-alarm rate; never a bound."""
    if verdict.p_value is None or verdict.p_is_bound:
        return False
    rate, near = config.judge.false_alarm_rate, config.judge.near
    return rate / near < verdict.p_value < rate * near
