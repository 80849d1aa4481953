"""What the searches say of every class of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stages.searches.search import SearchResult, Subject
from stages.types import Floats, freeze


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassProfile:
    """The `statistics` of one model by their full names, such as `patch.standardised_margin`.

    Each is a number per class (K,), larger is more suspicious. `digest` is the model's, `samples`
    that of the clean samples.
    """

    name: str
    digest: str
    samples: str
    clean_accuracy: float
    statistics: Mapping[str, Floats]

    def __post_init__(self) -> None:
        freeze(*self.statistics.values())

    @property
    def classes(self) -> int:
        """How many classes the model has."""
        return len(next(iter(self.statistics.values())))


def profile_of(name: str, subject: Subject, results: Mapping[str, SearchResult]) -> ClassProfile:
    """The profile of a model, named `name` in reports, from the results of its searches by name."""
    return ClassProfile(
        name=name,
        digest=subject.twin.digest,
        samples=subject.samples.digest,
        clean_accuracy=subject.clean.clean_accuracy,
        statistics={
            f"{search}.{statistic}": np.array(values)
            for search, result in results.items()
            for statistic, values in result.statistics.items()
        },
    )
