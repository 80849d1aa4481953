"""Whether the verdict depends on the seed, which draws samples, starts and places.

`python -m benchmarks.profiles --zoo FOLDER --seed S` measures a zoo's models with other seeds; then
`python -m benchmarks.stability --zoo FOLDER` compares the verdicts of every model that was measured
with several. A verdict near the limit asks for the two seeds after its own, so ten verdicts take
twelve seeds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product
from pathlib import Path

import click

from benchmarks.outcomes import alone
from benchmarks.profiles import known
from pipeline.config import ScanConfig


@click.command()
@click.option(
    "--zoo", "zoos", type=click.Path(exists=True, path_type=Path), multiple=True, required=True
)
@click.option("--seeds", type=int, default=10, show_default=True)
def main(zoos: tuple[Path, ...], seeds: int) -> None:
    """Print how many models get one verdict for all seeds, and which do not."""
    verdicts: defaultdict[str, list[bool]] = defaultdict(list)
    for zoo, seed in product(zoos, range(seeds)):
        for each in alone(known(zoo, seed), ScanConfig(seed=seed)):
            verdicts[each.name].append(bool(each.blocked))
    several = {name: found for name, found in verdicts.items() if len(found) > 1}
    same = [name for name, found in several.items() if len(set(found)) == 1]
    agree = sum(max(Counter(found).values()) for found in several.values())
    total = sum(map(len, several.values()))
    click.echo(
        f"{len(same)} of {len(several)} models get the same verdict for all their seeds;"
        f" {agree} of {total} verdicts are those of their model's majority"
    )
    for name, found in several.items():
        if name not in same:
            click.echo(f"blocked {sum(found)} of {len(found)}  {name}")


if __name__ == "__main__":
    main()
