"""Runs the searches of a model, to their end or as far as the course of the scan allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pipeline.allocation import give_back
from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.pace.begun import begun_blocks
from pipeline.pace.course import Course
from pipeline.pace.crew import Crew, Looks, Parts, awaited, looks_of, parts_of
from pipeline.pace.estimate import LOOKS, Estimate, Work, works_of
from pipeline.pace.one_search import search_one
from pipeline.pace.task import Scope, Task
from stages import progress
from stages.searches import SEARCHES
from stages.searches.pace import images_per_second
from stages.searches.screen import (
    Chosen,
    Look,
    Looked,
    Paused,
    choice_of,
    look_stage,
    planned_look,
    stage_of,
)
from stages.searches.screen import look as brief_look
from stages.searches.search import Search, SearchResult, Subject
from stages.types import Integers

QUICK_SHARE = 1 / 3
"""The share of a whole scan's images that a first look shows at most."""

Results = Mapping[str, SearchResult]
Enough = Callable[[Chosen, Results], bool]
"""Whether what was found of the chosen classes suffices for the verdict."""

logger = logging.getLogger(__name__)


class Unfinished(Exception):
    """The searches ended before all were done; what they found so far, by their names."""

    def __init__(self, chosen: Chosen | None, results: Results) -> None:
        super().__init__("the searches ended before all were done")
        self.chosen = chosen
        self.results = results


def search_all(
    subject: Subject,
    config: ScanConfig,
    store: Store,
    course: Course | None = None,
    crew: Crew | None = None,
    enough: Enough = lambda *_: False,
    scope: Scope | None = None,
) -> tuple[Chosen, dict[str, SearchResult]]:
    """Which classes were searched, and what every search says of them, by the search's name.

    Those are the classes that the looks choose and those of the scope, but for any that has the
    logits of another one. After every search it is asked whether that is `enough`.
    What a search says depends neither on the course, nor on what had begun before, nor on the crew.

    Raises:
        Unfinished: the time of the course is over, it is that of a first look, or what was found is
            enough.
    """
    course, scope = course or Course(), scope or Scope()
    works = works_of(subject, config, store, scope=scope)
    _estimate(subject, config, works, course)
    course.expect(_left(works))
    chosen: Chosen | None = None
    results: dict[str, SearchResult] = {}
    try:
        with _pausing(course):
            asked = set(scope.also) - set(subject.clean.unsearched)
            chosen = _chosen(subject, config, store, course, crew).also(sorted(asked))
            exact = works_of(subject, config, store, chosen, scope=scope)
            wanted = _wanted(exact, course)
            course.expect(_left(exact, wanted) - _left(works) + _looked(works))
            task = Task(subject=subject, config=config, chosen=chosen, store=store, scope=scope)
            parts = _handed_out(crew, wanted, task)
            for search in wanted:
                left = _work_of(search, exact).left
                found = search_one(search, task, course, left, parts.get(search.name))
                results[search.name] = found
                if enough(chosen, in_order(results)):
                    break
    except Paused:
        raise Unfinished(chosen, in_order(results)) from None
    if len(results) < len(SEARCHES):
        raise Unfinished(chosen, in_order(results))
    return chosen, in_order(results)


def in_order(results: Results) -> dict[str, SearchResult]:
    """The results in the order of the searches, in whichever they were found."""
    return {each.name: results[each.name] for each in SEARCHES if each.name in results}


def cheapest_first(works: Sequence[Work]) -> list[Search]:
    """The searches by how many images each shows for one statistic, as all have an equal say."""
    return sorted(SEARCHES, key=lambda each: _work_of(each, works).images / len(each.statistics))


def first_look(works: Sequence[Work]) -> list[Search]:
    """The searches of a first look: the cheapest that show `QUICK_SHARE` of all images at most."""
    allowed = QUICK_SHARE * sum(each.images for each in works)
    shown = sum(each.images for each in works if each.step == LOOKS)
    taken: list[Search] = []
    for search in cheapest_first(works):
        shown += _work_of(search, works).images
        if taken and shown > allowed:
            break
        taken.append(search)
    return taken


def _wanted(works: Sequence[Work], course: Course) -> Sequence[Search]:
    """Which searches run, in which order: what tells most for its cost comes first."""
    return first_look(works) if course.quick else cheapest_first(works)


def _pausing(course: Course) -> AbstractContextManager[None]:
    return progress.pausing(course.is_spent) if course.is_limited else nullcontext()


def _estimate(subject: Subject, config: ScanConfig, works: Sequence[Work], course: Course) -> None:
    """Measures the model's pace, once in a scan and if there is anything to be shown."""
    if course.estimate is not None or not _left(works):
        return
    shown = first_look(works) if course.quick else SEARCHES
    images = _left(works, shown)
    settings = config.searches[SEARCHES[0].name]
    estimate = Estimate(
        images=images,
        kept=sum(each.images for each in works) - _left(works),
        images_per_second=images_per_second(subject, settings.memory_mb),
    )
    course.begin(estimate)
    logger.info("%s", estimate)


def _chosen(
    subject: Subject, config: ScanConfig, store: Store, course: Course, crew: Crew | None
) -> Chosen:
    """The classes that are searched to the end; what was looked at before is kept."""
    quiet = store.quiet()
    arguments = (subject, config.searches, config.screen, config.seed)
    looks: Looks = {}
    screened = config.screen.screens(subject.twin.classes)
    if crew and screened and store.kept(choice_of(SEARCHES), *arguments) is None:
        looks = looks_of(crew, subject, config)

    def look(
        search: Search, subject: Subject, settings: Any, classes: Integers, seed: int
    ) -> Looked:
        ahead = looks.get((search.name, int(classes[0])))
        taking: Look = (lambda *_: awaited(ahead)) if ahead else brief_look
        work = (look_stage(search, taking), subject, settings, classes, seed)
        images = planned_look(search, subject, settings, len(classes), seed)
        if store.kept(*work) is not None:
            course.expect(-images)
            return quiet.run(*work)
        give_back()
        with course.showing(images):
            return quiet.run(*work)

    return store.run(choice_of(SEARCHES, look), *arguments)


def _handed_out(crew: Crew | None, searches: Sequence[Search], task: Task) -> dict[str, Parts]:
    """The parts of each search that a crew has taken on, by its name; none of what is known."""
    if crew is None:
        return {}
    parts = {}
    for search in searches:
        arguments = task.arguments(search)
        if task.scope.spares(search) or task.kept_end(search) is not None:
            continue
        if task.store.kept(stage_of(search), *arguments) is None:
            begun = begun_blocks(search, task.store, *arguments)
            subject, _, classes, _ = arguments
            parts[search.name] = parts_of(crew, search, subject, task.config, classes, begun)
    return parts


def _work_of(search: Search, works: Sequence[Work]) -> Work:
    return next(each for each in works if each.step == f"find_{search.name}")


def _left(works: Sequence[Work], searches: Sequence[Search] = SEARCHES) -> int:
    """How many images the looks and some searches are still to show."""
    steps = {LOOKS, *(f"find_{search.name}" for search in searches)}
    return sum(each.left for each in works if each.step in steps)


def _looked(works: Sequence[Work]) -> int:
    return sum(each.left for each in works if each.step == LOOKS)
