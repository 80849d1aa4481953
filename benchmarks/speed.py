"""What a scan costs beside the published algorithm on the same twin, in one run.

`python -m benchmarks.speed` scans a model and then runs the published algorithm at its README
settings (400 mask passes and 600 noise passes of batch 128) on the same twin with as many threads.
Only the ratio is worth quoting; seconds depend on the machine and on what else it does.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch

from benchmarks import demo_models
from pipeline import isolation
from pipeline.config import load_config
from pipeline.peak import peak_rss_mb
from pipeline.scan import scan
from pipeline.store import Store
from pipeline.walk import ScanRequest

DEMO = demo_models.FOLDER


def timed_scan(model: Path, samples: Path, seed: int) -> dict[str, float | str]:
    """Seconds of a whole scan and of the published algorithm run after it, on the same twin."""
    config = load_config(None, ["reference.enabled=true"], seed=seed)
    request = ScanRequest(model=str(model), samples=samples, uri=model.name, config=config)
    store = Store(None)
    isolation.warm_up()
    started = time.perf_counter()
    with TemporaryDirectory() as workspace:
        result = scan(request, store, Path(workspace))
    total = time.perf_counter() - started
    if "run_reference" not in result.seconds:
        raise click.ClickException(f"{model.name} was not judged: {result.verdict.reasons[0]}")
    published = result.seconds["run_reference"]
    return {
        "model": model.name,
        "verdict": result.verdict.label,
        "scan_seconds": total - published,
        "published_seconds": published,
        "ratio": published / (total - published),
        **{f"{name}_seconds": seconds for name, seconds in result.seconds.items()},
    }


@click.command()
@click.option("--model", type=click.Path(exists=True, path_type=Path), default=DEMO / "clean.onnx")
@click.option(
    "--samples", type=click.Path(exists=True, path_type=Path), default=DEMO / "samples.npz"
)
@click.option("--threads", type=int, default=torch.get_num_threads(), show_default=True)
@click.option("--repeats", type=int, default=3, show_default=True)
def main(model: Path, samples: Path, threads: int, repeats: int) -> None:
    """Print seconds of the scan and of the published algorithm, and their ratio, per seed."""
    torch.set_num_threads(threads)
    rows = []
    for seed in range(repeats):
        rows.append(timed_scan(model, samples, seed))
        click.echo(json.dumps(rows[-1]))
    ratios = sorted(float(row["ratio"]) for row in rows)
    click.echo(
        f"{model.name}: the scan is {ratios[len(ratios) // 2]:.1f}× cheaper than the published"
        f" algorithm (median of {repeats} seeds, {ratios[0]:.1f}–{ratios[-1]:.1f}),"
        f" cpu, {threads} threads, peak memory {peak_rss_mb():.0f} MiB for both"
    )


if __name__ == "__main__":
    main()
