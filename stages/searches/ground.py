"""What a search looks at: some clean samples to search on, more to evaluate on, and the unit."""

from __future__ import annotations

from dataclasses import dataclass

from stages import image_layout
from stages.searches import margins
from stages.searches.probe import Probe, probes
from stages.searches.search import Subject


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """What triggers are searched and evaluated on, and the logit gap, their unit."""

    subject: Subject
    probe: Probe
    evaluation: Probe
    gap: float

    @property
    def plane(self) -> tuple[int, int]:
        """Height and width of an image."""
        return image_layout.plane(self.subject.samples.images.shape[1:])


def ground_of(subject: Subject, counts: tuple[int, int], seed: int, memory_mb: int) -> Ground:
    """The ground of so many clean samples, balanced over the classes: those that are searched on,
    which are among those of the evaluation.
    """
    few, evaluation = probes(subject, counts, seed, memory_mb)
    gap = margins.logit_gap(subject.clean.logits)
    return Ground(subject=subject, probe=few, evaluation=evaluation, gap=gap)
