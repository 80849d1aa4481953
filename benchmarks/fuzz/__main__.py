"""The command line of the fuzzer, which ends with 1 where the promise was broken."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import gettempdir

import click
import psutil

from benchmarks.fuzz.judging import LIMITS
from benchmarks.fuzz.run import fuzz
from benchmarks.fuzz.table import table
from pipeline.intake.sandbox import warm_up


@click.command()
@click.option("--seconds", type=float, default=600.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=Path(gettempdir()) / "fuzz")
def main(seconds: float, seed: int, output: Path) -> None:
    """Judge changed files for that long, print what came of them, keep the odd ones."""
    from benchmarks.fuzz.corpus import seeds  # noqa: PLC0415 (every child imports this module)

    warm_up()
    corpus = seeds()
    process, outcomes, largest = psutil.Process(), [], 0
    before = process.memory_info().rss
    for outcome in fuzz(corpus, seed, seconds, output, LIMITS):
        outcomes.append(outcome)
        largest = max(largest, process.memory_info().rss - before)
    click.echo(f"seed {seed}, {len(corpus)} sources, {seconds:g} s; each step may take {LIMITS}")
    click.echo(table(outcomes))
    unforeseen = sum(one.is_unforeseen for one in outcomes)
    click.echo(
        f"longest step {max(one.seconds for one in outcomes):.1f} s; this process grew by at most"
        f" {largest / 2**20:.1f} MiB; {unforeseen} exceptions escaped or steps came too late"
    )
    sys.exit(1 if unforeseen else 0)


if __name__ == "__main__":
    main()
