"""Runs one search of a model: from where it was stopped before, and on only while that is worth it.

A search that asks after its first steps whether any class stands out ends there if none does
(`stages/verdict/early_end.py`). What it says then is the same whether it was searched further or
not: by a crew, which takes on whole parts, or for a model that others were compared with.
"""

from __future__ import annotations

from dataclasses import replace

from pipeline.allocation import give_back
from pipeline.pace.begun import begun_blocks, forget_blocks, keep_blocks
from pipeline.pace.course import Course
from pipeline.pace.crew import Parts
from pipeline.pace.task import Task
from stages.searches.blocks import Block
from stages.searches.screen import (
    Paused,
    begun_early,
    early_of,
    effort_of_first_steps,
    stage_of,
)
from stages.searches.search import Search, SearchResult


def search_one(
    search: Search, task: Task, course: Course, images: int, parts: Parts | None
) -> SearchResult:
    """What a search says that has so many images left to show, or whose parts a crew has taken on.

    Raises:
        Paused: it was to pause before its end; how far it has come is kept.
    """
    store, arguments = task.store, task.arguments(search)
    with store.timed(stage_of(search).name):
        if task.scope.spares(search):
            return task.spared(search)
        if (kept := task.kept_end(search)) is not None:
            store.reused.append(stage_of(search).name)
            return kept
        give_back()
        try:
            if parts:
                with course.showing(images):
                    return task.said(store.untimed(stage_of(search, parts.joined()), *arguments))
            if (whole := store.kept(stage_of(search), *arguments)) is not None:
                store.reused.append(stage_of(search).name)
                return task.said(whole)
            return _searched(search, task, course, images)
        except Paused as paused:
            if paused.blocks:
                keep_blocks(paused.blocks, search, store, *arguments)
            raise


def _searched(search: Search, task: Task, course: Course, images: int) -> SearchResult:
    """What a search says, gone on with from where it was stopped, if it was."""
    store, arguments = task.store, task.arguments(search)
    begun = begun_blocks(search, store, *arguments)
    first = _images_of_first_steps(search, task, begun)
    with course.showing(first):
        state = begun_early(search, *arguments, begun)
    early = early_of(search, state)
    if early and (end := task.end(early, search)):
        task.keep_end(early, search)
        course.expect(first - images)
        found = end
    else:
        with course.showing(images - first):
            found = store.untimed(stage_of(search, state.blocks), *arguments)
    if begun:
        forget_blocks(search, store, *arguments)
    return found


def _images_of_first_steps(search: Search, task: Task, begun: tuple[Block, ...]) -> int:
    """How many images the first steps have left to show, where the search asks something then."""
    subject, config, classes, seed = task.arguments(search)
    if search.early_after is None:
        return 0
    state = search.start(subject, config, seed)
    wanted = effort_of_first_steps(search, state, len(classes))
    shown = search.effort(replace(state, blocks=begun))
    return max(wanted.images - shown.images, 0)
