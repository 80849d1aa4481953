"""The verdict on a searched model: of one seed, or near the limit that of the median of three.

What a search finds depends a little on the samples and starts that its seed draws. Where p lies
within a factor of `judge.near` of the false-alarm rate, the searches are run again with another
seed, and where the two verdicts differ with a third one. Of two that agree the one nearer to the
limit counts, and of three the one with the median anomaly score; so it is always the verdict of the
median of three, as two that agree have it between them whatever the third says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.config import LARGEST_SEED, ScanConfig
from pipeline.pace.searching import search_all
from pipeline.references.measure import Select
from pipeline.run import Run
from stages.searches.search import SearchResult, Subject
from stages.types import Verdict
from stages.verdict.decide import judge
from stages.verdict.profile import ClassProfile, profile_of

FURTHER = (1, 2)
"""What is added to the seed for the second and the third opinion."""
AGREEING = 2
"""So many opinions may settle the verdict without a third."""


def judged(
    subject: Subject,
    first: ClassProfile,
    results: Mapping[str, SearchResult],
    select: Select,
    run: Run,
) -> tuple[Verdict, Mapping[str, SearchResult]]:
    """The verdict on a model whose `first` profile and `results` are those of the scan's seed, and
    the results that it is about; each profile beside the references that are selected for it.

    It takes no time beside the searches, so it is always made anew.
    Notes the searches that the verdict is about, where it is not the first seed's.

    Raises:
        Unfinished: the time of the course is over before the further seeds are searched.
    """
    config = run.config
    references, _ = select(first)
    verdict = run.store.compute(judge, first, references, config.calibration, config.judge)
    if not is_near(verdict, config):
        return verdict, results
    opinions, searched = [verdict], [results]
    for seed in further_seeds(config.seed):
        opinion, again = _opinion(subject, first.name, select, seed, run)
        opinions.append(opinion)
        searched.append(again)
        counted = settled(opinions)
        if counted is not None:
            break
    assert counted is not None, "three settle it"  # noqa: S101 (our own logic)
    about = searched[opinions.index(counted)]
    run.note(searches=dict(about))
    values = ", ".join(f"{max(each.class_scores):.2f}" for each in opinions)
    which = "one nearer to the limit" if len(opinions) == AGREEING else "median"
    count = len(opinions)
    reason = f"near the limit: anomaly scores of {count} seeds are {values}; the {which} counts"
    return replace(counted, reasons=(*counted.reasons, reason)), about


def _opinion(
    subject: Subject, name: str, select: Select, seed: int, run: Run
) -> tuple[Verdict, Mapping[str, SearchResult]]:
    """The verdict on a model by another seed, and the results that it is about."""
    config, store = replace(run.config, seed=seed), run.store.quiet()
    chosen, results = search_all(subject, config, store, run.course, run.crew, scope=run.scope)
    profile = profile_of(name, subject, chosen, results)
    references, _ = select(profile)
    verdict = store.compute(judge, profile, references, config.calibration, config.judge)
    return verdict, results


def settled(opinions: Sequence[Verdict]) -> Verdict | None:
    """The verdict that counts of those of two seeds or three; None where a third is needed."""
    ordered = sorted(opinions, key=score_of)
    if len(ordered) > AGREEING:
        return ordered[1]
    lower, higher = ordered
    if lower.label != higher.label:
        return None
    return lower if lower.label == "backdoored" else higher


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
