"""What the searches say of every class of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stages import image_layout
from stages.class_names import Names
from stages.searches.screen import Chosen
from stages.searches.search import SearchResult, Subject
from stages.types import Floats, Integers, freeze


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassProfile:
    """The `statistics` of one model by their full names, such as `patch.standardised_margin`.

    Each is a number per class (K,), larger is more suspicious, and NaN where nothing is said of a
    class. The `ordinary` classes (m,) are those that medians and deviations are of. `digest` is the
    model's, `samples` that of the clean samples, `side` the smaller side of an image in pixels, and
    `class_names` are those of classes 0, 1, … where they are known.
    """

    name: str
    digest: str
    samples: str
    clean_accuracy: float
    side: int
    ordinary: Integers
    statistics: Mapping[str, Floats]
    class_names: Names = ()

    def __post_init__(self) -> None:
        freeze(self.ordinary, *self.statistics.values())

    @property
    def classes(self) -> int:
        """How many classes the model has."""
        return len(next(iter(self.statistics.values())))


def profile_of(
    name: str, subject: Subject, chosen: Chosen, results: Mapping[str, SearchResult]
) -> ClassProfile:
    """The profile of a model, named `name` in reports, from the results of its searches by name."""
    return ClassProfile(
        name=name,
        digest=subject.twin.digest,
        samples=subject.samples.digest,
        clean_accuracy=subject.clean.clean_accuracy,
        side=min(image_layout.plane(subject.samples.images.shape[1:])),
        ordinary=chosen.ordinary.copy(),
        statistics={
            f"{search}.{statistic}": np.array(values)
            for search, result in results.items()
            for statistic, values in result.statistics.items()
        },
        class_names=subject.samples.class_names,
    )
