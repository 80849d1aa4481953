"""How scans scale with cores: two at once, and one on two threads, beside one on one thread.

    python -m benchmarks.cores --output FOLDER --pair model.onnx samples.npz

Of every model one whole scan on one thread, then two of them at once, then one on two threads, each
several times over. Seconds are by the clock, so nothing else may run beside it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from benchmarks.whole_scan import HERE, PAIR, Model, scan


def elapsed(model: Model, output: Path, processes: int, threads: int) -> float:
    """Seconds until so many scans of a model are done, all begun at once."""
    with TemporaryDirectory(dir=output) as name, ThreadPoolExecutor(processes) as pool:
        folders = [Path(name) / str(number) for number in range(processes)]
        for each in folders:
            each.mkdir()
        scans = [pool.submit(scan, model, HERE, each, threads) for each in folders]
        done = [each.result() for each in scans]
    if any(each.verdict is None for each in done):
        raise click.ClickException(f"a scan of {model.name} ended without a verdict")
    return max(each.elapsed or 0.0 for each in done)


def spread(values: list[float]) -> str:
    """The median, and the smallest and the largest where there are several."""
    low, high = min(values), max(values)
    return f"{median(values):.2f}" + (f" ({low:.2f}–{high:.2f})" if len(values) > 1 else "")


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True, help="For what is left.")
@click.option("--runs", type=int, default=3, show_default=True)
@click.option(
    "--pair", "pairs", type=PAIR, multiple=True, required=True, help="A model, and its samples."
)
def main(output: Path, runs: int, pairs: tuple[tuple[Path, Path], ...]) -> None:
    """Print both as shares of the time of one scan on one thread in the same run."""
    output = output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    click.echo("| model | seconds of one | two at once | one on two threads |")
    click.echo("|---|---|---|---|")
    for path, samples in pairs:
        model = Model(name=path.stem, path=path, samples=samples)
        ones, twos, threads = [], [], []
        for _ in range(runs):
            ones.append(elapsed(model, output, 1, 1))
            twos.append(elapsed(model, output, 2, 1) / ones[-1])
            threads.append(elapsed(model, output, 1, 2) / ones[-1])
        click.echo(f"| {model.name} | {median(ones):.0f} | {spread(twos)} | {spread(threads)} |")


if __name__ == "__main__":
    main()
