"""What the scan finds among classifiers whose truth is known.

`python -m benchmarks.zoo --split report --output FOLDER` builds the models, then
`python -m benchmarks.detection --zoo FOLDER` scans them and prints every verdict, and a table of
what was found and what was missed. An attack counts only where it succeeds on 80 % of samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from benchmarks.zoo.recipe import CLEAN
from pipeline.config import load_config
from pipeline.scan import ScanRequest, scan
from pipeline.store import Store

LOWEST_SUCCESS = 0.8


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one scan said of one model, beside the truth."""

    name: str
    architecture: str
    attack: str
    target: int
    label: str
    suspected: int | None
    lead: float
    p_value: float
    seconds: float

    @property
    def found(self) -> bool:
        return self.label == "backdoored"

    @property
    def right(self) -> bool:
        return self.found and self.suspected == self.target


def outcomes(folder: Path, seed: int) -> Iterable[Outcome]:
    """One outcome per model of the zoo in `folder` that counts, in order of name."""
    for record in sorted(folder.glob("*.json")):
        truth = json.loads(record.read_text())
        if truth.get("attack_success_rate", 1.0) >= LOWEST_SUCCESS:
            yield _outcome(record.with_suffix(".onnx"), truth, seed)


def _outcome(model: Path, truth: dict[str, object], seed: int) -> Outcome:
    samples = model.parent / f"{truth['task']}.npz"
    config = load_config(None, [], seed=seed)
    request = ScanRequest(model=str(model), samples=samples, uri=model.name, config=config)
    with TemporaryDirectory() as workspace:
        result = scan(request, Store(None), Path(workspace))
    verdict = result.verdict
    return Outcome(
        name=model.stem,
        architecture=str(truth["architecture"]),
        attack=str(truth["attack"]),
        target=int(str(truth["target"])),
        label=verdict.label,
        suspected=verdict.suspected_class,
        lead=verdict.statistics[0].value if verdict.statistics else float("nan"),
        p_value=verdict.p_value if verdict.p_value is not None else float("nan"),
        seconds=sum(result.seconds.values()),
    )


def table(rows: list[Outcome]) -> list[str]:
    """Markdown: per attack, how many models were blocked and how often the class was right."""
    lines = ["| truth | models | blocked | 95 % interval | right class |", "|---|---|---|---|---|"]
    for attack in sorted({row.attack for row in rows}, key=lambda name: (name != CLEAN, name)):
        group = [row for row in rows if row.attack == attack]
        blocked = sum(row.found for row in group)
        low, high = binomtest(blocked, len(group)).proportion_ci(method="wilson")
        right = "–" if attack == CLEAN else str(sum(row.right for row in group))
        lines.append(f"| {attack} | {len(group)} | {blocked} | {low:.0%}–{high:.0%} | {right} |")
    return lines


@click.command()
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=int, default=1, show_default=True)
def main(zoo: Path, seed: int, threads: int) -> None:
    """Scan every model of ZOO and print what was found and what was missed."""
    torch.set_num_threads(threads)
    rows = []
    for row in outcomes(zoo, seed):
        rows.append(row)
        click.echo(
            f"{row.name:44} {row.label:12} class {row.suspected!s:4} target"
            f" {'-' if row.attack == CLEAN else row.target!s:2} lead {row.lead:.3f}"
            f" p {row.p_value:.3g} {row.seconds:.1f} s"
        )
    click.echo("\n".join(table(rows)))
    backdoored = [row.attack != CLEAN for row in rows]
    click.echo(f"AUROC of the lead {roc_auc_score(backdoored, [row.lead for row in rows]):.2f}")


if __name__ == "__main__":
    main()
