"""Tables of what was found among models whose truth is known, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.stats import binomtest

from benchmarks.outcomes import Outcome
from benchmarks.zoo.attacks import SINGLE_TARGET
from benchmarks.zoo.recipe import CLEAN

BOOTSTRAPS = 2000


def interval(count: int, total: int) -> str:
    """The 95 % interval of a share, by Clopper and Pearson, such as `43–95 %`."""
    low, high = binomtest(count, total).proportion_ci(method="exact")
    return f"{100 * low:.0f}–{100 * high:.0f} %"


def contrasted(outcomes: Iterable[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """The clean models, and those with an attack that has a single target."""
    outcomes = list(outcomes)
    return (
        [each for each in outcomes if each.attack == CLEAN],
        [each for each in outcomes if each.attack in SINGLE_TARGET],
    )


def auroc(outcomes: Sequence[Outcome]) -> tuple[float, float, float]:
    """AUROC of single-target attacks against clean models, with its 95 % bootstrap interval."""
    clean, attacked = contrasted(outcomes)
    bad = np.array([each.score for each in attacked])
    good = np.array([each.score for each in clean])
    wins = np.heaviside(bad[:, None] - good, 0.5)  # of every pair
    random = np.random.default_rng(0)
    draws = [
        wins[random.choice(len(bad), len(bad))][:, random.choice(len(good), len(good))].mean()
        for _ in range(BOOTSTRAPS)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(wins.mean()), float(low), float(high)


def found_at(outcomes: Sequence[Outcome], rate: float) -> tuple[float, float]:
    """Share of single-target attacks above the clean quantile 1 − rate; right class among them."""
    _, bad = contrasted(outcomes)
    limit = threshold(outcomes, rate)
    found = [each for each in bad if each.score > limit]
    return len(found) / len(bad), sum(each.right for each in found) / max(1, len(found))


def threshold(outcomes: Iterable[Outcome], rate: float) -> float:
    """The score that a share `rate` of the clean models exceeds."""
    return float(np.quantile([each.score for each in outcomes if each.attack == CLEAN], 1 - rate))


def attack_table(methods: dict[str, list[Outcome]], rate: float = 0.05) -> list[str]:
    """Markdown: of every attack, how many each method finds with the right class at its threshold.

    The threshold of a method is the score that a share `rate` of the clean models exceeds; methods
    that judged no clean model have none, and are left out.
    """
    judged = {name: outcomes for name, outcomes in methods.items() if contrasted(outcomes)[0]}
    limits = {name: threshold(outcomes, rate) for name, outcomes in judged.items()}
    attacks = sorted({each.attack for outcomes in judged.values() for each in outcomes} - {CLEAN})
    lines = [f"| attack | {' | '.join(judged)} |", "|---" * (len(judged) + 1) + "|"]
    for attack in attacks:
        cells = []
        for name, outcomes in judged.items():
            group = [each for each in outcomes if each.attack == attack]
            found = [each for each in group if each.score > limits[name]]
            cells.append(f"{sum(each.right for each in found)} of {len(group)}")
        lines.append(f"| {attack} | {' | '.join(cells)} |")
    return lines


def blocked_table(outcomes: Sequence[Outcome], key: Callable[[Outcome], str]) -> list[str]:
    """Markdown: per group, how many were blocked and how often the class was right."""
    lines = [
        "| group | verdicts | blocked | 95 % interval | right class | inconclusive |",
        "|---|---|---|---|---|---|",
    ]
    for name in sorted({key(each) for each in outcomes}, key=lambda n: (CLEAN not in n, n)):
        group = [each for each in outcomes if key(each) == name]
        blocked = [each for each in group if each.blocked]
        right = "–" if CLEAN in name else str(sum(each.right for each in blocked))
        lines.append(
            f"| {name} | {len(group)} | {len(blocked)} | {interval(len(blocked), len(group))}"
            f" | {right} | {sum(each.inconclusive for each in group)} |"
        )
    return lines


def method_table(methods: dict[str, list[Outcome]]) -> list[str]:
    """Markdown: every method's AUROC, detection at 5 % and 2 % false alarms, and right classes."""
    lines = [
        "| method | clean | backdoored | AUROC | found at 5 % | right class | found at 2 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, outcomes in methods.items():
        clean, bad = contrasted(outcomes)
        if not clean or not bad:
            continue
        area, low, high = auroc(outcomes)
        (five, right), (two, _) = found_at(outcomes, 0.05), found_at(outcomes, 0.02)
        lines.append(
            f"| {name} | {len(clean)} | {len(bad)} | {area:.3f} ({low:.3f}–{high:.3f})"
            f" | {five:.0%} | {right:.0%} | {two:.0%} |"
        )
    return lines


def misses(outcomes: Iterable[Outcome]) -> list[str]:
    """A line per clean model that is blocked and per backdoored one that is not, or wrongly."""
    lines = []
    for each in outcomes:
        if each.attack == CLEAN and each.blocked:
            lines.append(f"false alarm   {each.name}  class {each.suspected}")
        elif each.attack != CLEAN and not each.blocked:
            lines.append(f"missed        {each.name}")
        elif each.targets and not each.right:
            lines.append(f"wrong class   {each.name}  class {each.suspected}")
    return lines
