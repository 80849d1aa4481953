"""What whole scans cost beside those of another commit, of the same files in one run.

    python -m benchmarks.against 38137c2 --output FOLDER --field MODELS --resnets 32
    python -m benchmarks.against 38137c2 --output FOLDER --pair model.onnx samples.npz

Every model is scanned as people scan it, through the command line with its default settings, by
both commits: each scan with one thread, in a process of its own, without anything remembered; both
scans of a model go side by side. What is in FOLDER already is not scanned again. Seconds are the
processor's; only their ratios are worth quoting.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from sklearn.metrics import roc_auc_score

from benchmarks import resnets
from benchmarks.whole_scan import HERE, PAIR, Model, Scanned, scan

FIELD = "manifest.json"


def of_field(folder: Path) -> Iterator[Model]:
    """The models of a folder with a manifest."""
    for entry in json.loads((folder / FIELD).read_text()):
        path = folder / entry["file"]
        yield Model(
            name=f"{entry['task']}, {entry['arch']}, {entry['attack']}, {path.stem[:4]}",
            path=path,
            samples=folder / f"{entry['task']}.npz",
            target=entry["target"] if entry["backdoored"] else -1,
        )


def of_resnets(folder: Path, side: int) -> Iterator[Model]:
    """ResNet-18s for images of a side, clean and backdoored; trained if they are not there."""
    for backdoored in (False, True):
        path, samples = resnets.written(
            side, backdoored=backdoored, device=torch.device("cpu"), folder=folder
        )
        target = resnets.TARGET if backdoored else -1
        yield Model(name=path.stem, path=path, samples=samples, target=target)


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """The files of a commit, while it lasts."""
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*git, "add", "--detach", "--quiet", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def scanned(model: Model, tree: Path, folder: Path) -> Scanned:
    """What the command line of a tree says of a model; kept in the folder."""
    kept = folder / "scanned.json"
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)  # of a scan that was stopped
        folder.mkdir(parents=True)
        kept.write_text(json.dumps(asdict(scan(model, tree, folder))))
    return Scanned(**json.loads(kept.read_text()))


def summary(name: str, found: list[tuple[Model, Scanned]]) -> str:
    """Markdown: what one commit found of the models whose truth is known."""
    attacked = [(model, each) for model, each in found if model.target not in (None, -1)]
    clean = [each for model, each in found if model.target == -1]
    blocked = [(model, each) for model, each in attacked if each.verdict == "backdoored"]
    right = sum(model.target == each.suspected for model, each in blocked)
    false = sum(each.verdict == "backdoored" for each in clean)
    truth = [True] * len(attacked) + [False] * len(clean)
    scores = [each.score or 0.0 for each in [*(each for _, each in attacked), *clean]]
    area = f"{roc_auc_score(truth, scores):.3f}" if attacked and clean else "–"
    return (
        f"| {name} | {sum(each.seconds for _, each in found):.0f} | {len(blocked)} of"
        f" {len(attacked)} | {right} | {false} of {len(clean)} | {area} |"
    )


def line(model: Model, before: Scanned, now: Scanned) -> str:
    """Markdown: both scans of a model."""
    truth = {None: "–", -1: "clean"}.get(model.target, f"class {model.target}")

    def said(scan: Scanned) -> str:
        suspect = "" if scan.suspected is None else f" {scan.suspected}"
        return f"{scan.verdict}{suspect} | {scan.seconds:.0f} | {scan.peak:.0f}"

    return (
        f"| {model.name} | {truth} | {said(before)} | {said(now)}"
        f" | {before.seconds / now.seconds:.2f}× |"
    )


def compare(models: list[Model], commit: str, tree: Path, output: Path) -> None:
    """Prints a line for each model, and what each commit found."""
    click.echo(f"| model | truth | {commit} | s | MiB | now | s | MiB | fewer seconds |")
    click.echo("|---|---|---|---|---|---|---|---|---|")
    both: dict[str, list[tuple[Model, Scanned]]] = {commit: [], "now": []}
    with ThreadPoolExecutor(2) as pool:
        for model in models:
            folder = output / model.path.stem
            before = pool.submit(scanned, model, tree, folder / commit)
            now = pool.submit(scanned, model, HERE, folder / "now")
            click.echo(line(model, before.result(), now.result()))
            both[commit].append((model, before.result()))
            both["now"].append((model, now.result()))
    click.echo("\n| commit | seconds | found | right class | false | AUROC |")
    click.echo("|---|---|---|---|---|---|")
    for name, found in both.items():
        click.echo(summary(name, found))


@click.command()
@click.argument("commit")
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--field", type=click.Path(path_type=Path, exists=True), help="A manifest's folder.")
@click.option("--resnets", "sides", type=int, multiple=True, help="Pixels of trained ResNet-18s.")
@click.option("--pair", "pairs", type=PAIR, multiple=True, help="A model, and its samples.")
def main(
    commit: str,
    output: Path,
    field: Path | None,
    sides: tuple[int, ...],
    pairs: tuple[tuple[Path, Path], ...],
) -> None:
    """Print what scans cost by COMMIT and by the code as it is."""
    output = output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    models = [Model(name=path.stem, path=path, samples=samples) for path, samples in pairs]
    models += [each for side in sides for each in of_resnets(output, side)]
    models += of_field(field.absolute()) if field else []
    with tree_of(commit) as tree:
        compare(models, commit, tree, output)


if __name__ == "__main__":
    main()
