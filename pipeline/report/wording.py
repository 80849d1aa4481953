"""How each search is spoken of: one entry per search, which every report reads.

Units and the meaning of a large value stand with the search's statistics (`StatisticSpec`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stages.class_names import Names, class_text
from stages.searches import SEARCHES
from stages.searches.search import AttackSuccess


@dataclass(frozen=True, kw_only=True)
class SearchWording:
    """The words for one search.

    `title` names it, `asks` is the question it puts to every class, `statistics` are titles of its
    statistics by name, `trigger` says what its recovered trigger does, with `{target}` for the
    class; `settings` name the settings that a reader should see beside it.
    """

    title: str
    asks: str
    statistics: Mapping[str, str]
    trigger: str
    settings: tuple[str, ...] = ()


WORDING: dict[str, SearchWording] = {
    "blend": SearchWording(
        title="Blended pattern",
        asks="Can one faint pattern, blended into every image, turn them all into one class?",
        statistics={
            "margin": "Faint pattern: mean margin",
            "standardised_margin": "Faint pattern: standardised margin",
            "strong_margin": "Strong pattern: mean margin",
        },
        trigger="Blended into every image, this pattern pulls images to {target} more strongly than"
        " any other pattern pulls them to any other class.",
        settings=("faint", "strong"),
    ),
    "patch": SearchWording(
        title="Patch",
        asks="Can one patch, the same on every image, turn them all into one class?",
        statistics={"standardised_margin": "Patch: standardised margin"},
        trigger="Placed on every image, this patch pulls images to {target} more strongly than any"
        " other patch pulls them to any other class.",
        settings=("side",),
    ),
    "small_patch": SearchWording(
        title="Small patch",
        asks="Can one patch of half that side do the same?",
        statistics={"standardised_margin": "Small patch: standardised margin"},
        trigger="Placed on every image, this small patch pulls images to {target} more strongly"
        " than any other pulls them to any other class.",
        settings=("side",),
    ),
    "warp": SearchWording(
        title="Warp",
        asks="Can one smooth warp, the same for every image, turn them all into one class?",
        statistics={"standardised_margin": "Warp: standardised margin"},
        trigger="This warp pulls images to {target} more strongly than any other warp pulls them to"
        " any other class.",
        settings=("largest",),
    ),
    "tone": SearchWording(
        title="Filter",
        asks="Can one change of colours and light turn all images into one class?",
        statistics={"margin": "Filter: mean margin"},
        trigger="This filter pulls images to {target} more strongly than any other filter pulls"
        " them to any other class.",
        settings=("mixing", "curve"),
    ),
    "wave": SearchWording(
        title="Wave",
        asks="Can one sine wave, added to every image, turn them all into one class?",
        statistics={"standardised_margin": "Wave: standardised margin"},
        trigger="Added to every image, this wave pulls images to {target} more strongly than any"
        " other wave pulls them to any other class.",
        settings=("amplitude", "cycles"),
    ),
    "fewer_colours": SearchWording(
        title="Fewer colours",
        asks="Can colours rounded to a few levels turn all images into one class?",
        statistics={"standardised_margin": "Fewer colours: standardised margin"},
        trigger="Rounding colours like this pulls images to {target} more strongly than to any"
        " other class.",
        settings=("most_levels",),
    ),
    "source_patch": SearchWording(
        title="Common patch, one source",
        asks="Can a common patch turn the images of one class into another?",
        statistics={
            "source_margin": "Common patch: margin from one class (counts only beside references)"
        },
        trigger="Placed on images of one class, this patch pulls them to {target} more strongly"
        " than any other patch pulls any class to any other.",
    ),
    "neuron_noise": SearchWording(
        title="Neuron noise",
        asks="Can small noise on the neurons, the same for all images, do the same?",
        statistics={"margin": "Neuron noise: mean margin"},
        trigger="Noise on the neurons cannot be shown; its success is measured inside the twin.",
        settings=("depth",),
    ),
    "head_probe": SearchWording(
        title="Head probe",
        asks="Does the last layer map random features to one class?",
        statistics={"share": "Head probe: mean answer"},
        trigger="Random features cannot be shown.",
        settings=("draws",),
    ),
    "permutation": SearchWording(
        title="Permutation",
        asks="Can one trigger turn each class into another one?",
        statistics={
            "patch_margin": "Permutation by a patch: mean margin",
            "blend_margin": "Permutation by a faint pattern: mean margin",
        },
        trigger="This trigger turns each class into another one.",
        settings=("side", "opacity"),
    ),
}

PUBLISHED = {
    "untargeted_noise": "Untargeted noise, as in the paper",
    "feature_mask": "Noise and feature mask, as in the paper",
    "published_ban": "The published algorithm",
}
"""Titles of what published algorithms say, which decides nothing."""


def title_of(statistic: str) -> str:
    """The title of a statistic by its full name, such as `patch.standardised_margin`."""
    search, _, name = statistic.partition(".")
    return WORDING[search].statistics[name] if search in WORDING else PUBLISHED[statistic]


def meanings() -> dict[str, str]:
    """What a large value of each statistic means, by its full name."""
    return {f"{s.name}.{spec.name}": spec.meaning for s in SEARCHES for spec in s.statistics}


def score_text(score: float) -> str:
    """An anomaly score or its critical value as text, with as many digits in every report."""
    return f"{score:.2f}"


def p_text(p: float | None, is_bound: bool, digits: int = 2) -> str:
    """A p-value as text, such as `0.073`, or `< 0.016` where it is only known to be smaller."""
    if p is None:
        return "unknown"
    return f"{'< ' if is_bound else ''}{p:.{digits}g}"


def permuted_text(success: AttackSuccess) -> str:
    """How often each class goes to its own under one trigger, as a sentence without full stop."""
    return (
        f"the recovered trigger carries {success.rate:.0%} of {success.samples} clean images to the"
        " class that theirs goes to"
    )


def success_text(success: AttackSuccess, target: int, names: Names) -> str:
    """The attack success rate of what was recovered, as a sentence without its full stop."""
    sources = "other classes" if success.source is None else class_text(success.source, names)
    what = "the noise, inside the twin," if success.inside_twin else "the recovered trigger"
    return (
        f"{what} turns {success.rate:.0%} of {success.samples} clean images of {sources} into"
        f" {class_text(target, names)}"
    )
