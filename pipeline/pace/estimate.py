"""What the searches of a model will cost, counted before they begin: images, and so seconds."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.pace.begun import images_begun
from pipeline.pace.duration import time_text
from pipeline.pace.task import Scope, Task
from stages.searches import SEARCHES
from stages.searches.screen import (
    Chosen,
    choice_of,
    choose_classes,
    most_searched,
    planned,
    planned_looks,
    stage_of,
)
from stages.searches.search import Search, Subject

LOOKS = "choose_classes"
"""The step in which brief looks at many classes are taken."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One step that shows the model images: all that it will show, and those it need not show
    again, as what they gave is kept.
    """

    step: str
    images: int
    kept: int = 0

    @property
    def left(self) -> int:
        """How many images are still to be shown."""
        return max(self.images - self.kept, 0)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What was expected before the searches began: `images` to be shown forward and backward, at so
    many per second, and how many need not be shown again because what they gave is kept. Searches
    that end early show fewer.
    """

    images: int
    kept: int
    images_per_second: float

    @property
    def seconds(self) -> float:
        """How long the searches will take, to their ends."""
        return self.images / self.images_per_second

    def __str__(self) -> str:
        more = f"; {count_text(self.kept)} more are kept from an earlier scan" if self.kept else ""
        speed = f"{self.images_per_second:.3g}"
        return (
            f"up to {time_text(self.seconds)} of searching: {count_text(self.images)} images at"
            f" {speed} per second{more}"
        )


def works_of(
    subject: Subject,
    config: ScanConfig,
    store: Store,
    chosen: Chosen | None = None,
    scope: Scope | None = None,
) -> tuple[Work, ...]:
    """The work of all searches of a model, in their order, to their ends: some may end early.

    Of many classes the number that is searched to the end is known once they are `chosen`; before,
    it is the largest that is possible.
    """
    chosen, scope = chosen or _chosen(subject, config, store), scope or Scope()
    classes = most_searched(subject.twin.classes, config.screen, config.searches)
    if chosen is not None:
        classes = len(chosen.classes)
    works = []
    if config.screen.screens(subject.twin.classes):
        looks = planned_looks(SEARCHES, subject, config.searches, config.seed)
        works.append(Work(step=LOOKS, images=looks, kept=0 if chosen is None else looks))
    for search in SEARCHES:
        settings = config.searches[search.name]
        images = planned(search, subject, settings, classes, config.seed).images
        if scope.spares(search):
            images = 0
        kept = 0
        if chosen is not None:
            task = Task(subject=subject, config=config, chosen=chosen, store=store, scope=scope)
            kept = _kept(search, task, images)
        works.append(Work(step=f"find_{search.name}", images=images, kept=kept))
    return tuple(works)


def count_text(count: int) -> str:
    """A number with its thousands apart."""
    return f"{count:,}".replace(",", " ")


def _chosen(subject: Subject, config: ScanConfig, store: Store) -> Chosen | None:
    """The classes that are searched to the end, if that is known without a look at the model."""
    arguments = (subject, config.searches, config.screen, config.seed)
    if config.screen.screens(subject.twin.classes):
        return store.kept(choice_of(SEARCHES), *arguments)
    return choose_classes(SEARCHES, *arguments)


def _kept(search: Search, task: Task, images: int) -> int:
    """How many of the images need not be shown again."""
    arguments = task.arguments(search)
    if task.store.kept(stage_of(search), *arguments) is not None:
        return images
    if task.kept_end(search) is not None:
        return images
    return images_begun(search, task.store, *arguments)
