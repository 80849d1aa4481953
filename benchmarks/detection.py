"""What is found among classifiers whose truth is known, by ban-gate and by its peers, in one table.

`python -m benchmarks.zoo --split report --output FOLDER` builds the models,
`python -m benchmarks.profiles --zoo FOLDER` and `python -m benchmarks.peers --zoo FOLDER` measure
them, then `python -m benchmarks.detection --zoo FOLDER` prints the tables and every miss. An attack
counts only where it succeeds on 80 % of held-out images; attacks without a single target, with
clean labels, or made to evade defences stand in rows of their own and in no total.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from scipy.stats import binomtest

from benchmarks.peers.__main__ import PEERS, place_of
from benchmarks.profiles import SAMPLES, Known, known
from benchmarks.zoo.attacks import SINGLE_TARGET
from benchmarks.zoo.recipe import CLEAN
from pipeline.config import ScanConfig
from stages.verdict.decide import judge
from stages.verdict.score import growth_of, null_of, p_value
from stages.verdict.vetting import vet

BOOTSTRAPS = 2000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one method said of one model, beside the truth; `blocked` needs a threshold.

    `score` ranks models; larger is more suspicious, and in which unit is the method's own.
    """

    name: str
    task: str
    architecture: str
    attack: str
    target: int | None
    score: float
    suspected: int | None
    blocked: bool | None = None

    @property
    def right(self) -> bool:
        return self.target is not None and self.suspected == self.target


def alone(models: list[Known], config: ScanConfig) -> list[Outcome]:
    """The verdict on every model by itself."""
    return [_outcome(each, (), config) for each in models]


def referenced(models: list[Known], config: ScanConfig) -> list[Outcome]:
    """The verdict on every model beside each single clean model of its task."""
    return [
        _outcome(each, (other,), config)
        for each in models
        for other in models
        if other.clean and other.task == each.task and other.name != each.name
    ]


def _outcome(model: Known, references: tuple[Known, ...], config: ScanConfig) -> Outcome:
    """The verdict on a model; its score is −log p by the null, also where p is only a bound."""
    calibration, profiles = config.calibration, tuple(each.profile for each in references)
    vetted = vet(model.profile, profiles, config.vetting, calibration)
    verdict = judge(model.profile, vetted, calibration, config.judge)
    null = null_of(calibration, bool(vetted.kept))
    p = p_value(max(verdict.class_scores), null, growth_of(model.profile.classes, calibration))
    return Outcome(
        name=model.name,
        task=model.task,
        architecture=model.architecture,
        attack=model.attack,
        target=model.target,
        score=-float(np.log(p)),
        suspected=verdict.leading_class,
        blocked=verdict.label == "backdoored",
    )


def peer(models: list[Known], zoo: Path, method: str) -> list[Outcome]:
    """What a peer found on the models it was run on."""
    outcomes = []
    for each in models:
        place = place_of(zoo, method, each.name)
        if place.exists():
            found = json.loads(place.read_text())
            outcomes.append(
                Outcome(
                    name=each.name,
                    task=each.task,
                    architecture=each.architecture,
                    attack=each.attack,
                    target=each.target,
                    score=float(found["score"]),
                    suspected=int(found["suspected_class"]),
                )
            )
    return outcomes


def in_common(methods: dict[str, list[Outcome]]) -> dict[str, list[Outcome]]:
    """The outcomes on the models that every method with any outcome judged."""
    judged = [{each.name for each in outcomes} for outcomes in methods.values() if outcomes]
    shared = set.intersection(*judged) if judged else set()
    return {
        name: [each for each in outcomes if each.name in shared]
        for name, outcomes in methods.items()
    }


def auroc(outcomes: list[Outcome]) -> tuple[float, float, float]:
    """AUROC of single-target attacks against clean models, with its 95 % bootstrap interval."""
    bad = np.array([each.score for each in outcomes if each.attack in SINGLE_TARGET])
    good = np.array([each.score for each in outcomes if each.attack == CLEAN])
    wins = np.heaviside(bad[:, None] - good, 0.5)  # of every pair
    random = np.random.default_rng(0)
    draws = [
        wins[random.choice(len(bad), len(bad))][:, random.choice(len(good), len(good))].mean()
        for _ in range(BOOTSTRAPS)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(wins.mean()), float(low), float(high)


def found_at(outcomes: list[Outcome], rate: float) -> tuple[float, float]:
    """Share of single-target attacks above the clean quantile 1 − rate; right class among them."""
    bad = [each for each in outcomes if each.attack in SINGLE_TARGET]
    limit = threshold(outcomes, rate)
    found = [each for each in bad if each.score > limit]
    return len(found) / len(bad), sum(each.right for each in found) / max(1, len(found))


def threshold(outcomes: list[Outcome], rate: float) -> float:
    """The score that a share `rate` of the clean models exceeds."""
    return float(np.quantile([each.score for each in outcomes if each.attack == CLEAN], 1 - rate))


def attack_table(methods: dict[str, list[Outcome]], rate: float = 0.05) -> list[str]:
    """Markdown: of every attack, how many each method finds with the right class at its threshold.

    The threshold of a method is the score that a share `rate` of the clean models exceeds.
    """
    judged = {name: outcomes for name, outcomes in methods.items() if outcomes}
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


def blocked_table(outcomes: list[Outcome], key: Callable[[Outcome], str]) -> list[str]:
    """Markdown: per group, how many were blocked and how often the class was right."""
    lines = [
        "| group | verdicts | blocked | 95 % interval | right class |",
        "|---|---|---|---|---|",
    ]
    for name in sorted({key(each) for each in outcomes}, key=lambda n: (CLEAN not in n, n)):
        group = [each for each in outcomes if key(each) == name]
        blocked = [each for each in group if each.blocked]
        low, high = binomtest(len(blocked), len(group)).proportion_ci(method="wilson")
        right = "–" if CLEAN in name else str(sum(each.right for each in blocked))
        lines.append(f"| {name} | {len(group)} | {len(blocked)} | {low:.0%}–{high:.0%} | {right} |")
    return lines


def method_table(methods: dict[str, list[Outcome]]) -> list[str]:
    """Markdown: every method's AUROC, detection at 5 % and 2 % false alarms, and right classes."""
    lines = [
        "| method | clean | backdoored | AUROC | found at 5 % | right class | found at 2 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, outcomes in methods.items():
        clean = sum(each.attack == CLEAN for each in outcomes)
        bad = sum(each.attack in SINGLE_TARGET for each in outcomes)
        if not clean or not bad:
            continue
        area, low, high = auroc(outcomes)
        (five, right), (two, _) = found_at(outcomes, 0.05), found_at(outcomes, 0.02)
        lines.append(
            f"| {name} | {clean} | {bad} | {area:.3f} ({low:.3f}–{high:.3f}) | {five:.0%}"
            f" | {right:.0%} | {two:.0%} |"
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
        elif each.target is not None and not each.right:
            lines.append(f"wrong class   {each.name}  class {each.suspected}")
    return lines


@click.command()
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--samples", type=int, default=SAMPLES, show_default=True)
@click.option("--task", "tasks", multiple=True, help="Only models of these tasks.")
def main(zoo: Path, seed: int, samples: int, tasks: tuple[str, ...]) -> None:
    """Print what was found and what was missed among the models of ZOO."""
    models, config = known(zoo, seed, samples), ScanConfig(seed=seed)
    models = [each for each in models if not tasks or each.task in tasks]
    by_itself = alone(models, config)
    beside = referenced(models, config)
    methods = {"ban-gate": by_itself, "ban-gate, 1 reference": beside}
    methods |= {name: peer(models, zoo, name) for name in PEERS}
    shared = in_common(methods)
    sections = {
        "Methods": method_table(methods),
        "Methods, on the models that all of them judged": method_table(shared),
        "Found with the right class at 5 %, on the same models": attack_table(shared),
        "Alone, per attack": blocked_table(by_itself, lambda each: each.attack),
        "Alone, per architecture": blocked_table(
            by_itself, lambda each: f"{each.architecture} {_kind(each)}"
        ),
        "Alone, per task": blocked_table(by_itself, lambda each: f"{each.task} {_kind(each)}"),
        "With one reference, per attack": blocked_table(beside, lambda each: each.attack),
        "Wrong, alone": misses(by_itself),
    }
    for title, lines in sections.items():
        click.echo(f"\n{title}\n")
        click.echo("\n".join(lines))


def _kind(outcome: Outcome) -> str:
    if outcome.attack == CLEAN:
        return CLEAN
    return "single target" if outcome.attack in SINGLE_TARGET else "other attack"


if __name__ == "__main__":
    main()
