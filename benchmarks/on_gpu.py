"""Verdicts on a GPU beside those on the processor, and what a scan, BAN and BTI-DBF take there.

`python -m benchmarks.on_gpu` times whole scans of ResNet-18s, trained here on digits, at 32 and 224
pixels beside the published methods, of which a few steps are timed and multiplied. Then it scans
the demo models and two ResNet-18s on both devices, the latter twice on the GPU. `--device cpu`
tries all of it without a GPU.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch

from benchmarks import resnets, speed
from benchmarks.data import DEMO
from pipeline.cache.store import Store
from pipeline.config import ScanConfig, load_config
from pipeline.evidence import ScanResult
from pipeline.request import ScanRequest
from pipeline.scan import scan
from stages.twin.arithmetic import OTHERS, pass_seconds
from stages.types import Arithmetic, TorchTwin

SIDES = (32, 224)


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """A scan's result, and its seconds from start to end."""

    result: ScanResult
    seconds: float

    @property
    def told(self) -> str:
        """The verdict, and the class where it accuses one."""
        verdict = self.result.verdict
        if verdict.suspected_class is None:
            return verdict.label
        return f"{verdict.label}, class {verdict.suspected_class}"


def scanned(model: Path, samples: Path, device: str) -> Scanned:
    """One whole scan, with nothing kept of it."""
    config = load_config(None, (f"device={device}",))
    request = ScanRequest(model=str(model), samples=samples, uri=model.name, config=config)
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        result = scan(request, Store(None), Path(folder))
        return Scanned(result=result, seconds=time.perf_counter() - started)


def farthest(one: ScanResult, other: ScanResult) -> float:
    """The largest difference between two scans' statistics, each as a share of its own spread."""
    differences = [0.0]
    for name, search in one.evidence.searches.items():
        for key, values in search.statistics.items():
            others = other.evidence.searches[name].statistics[key]
            spread = max(float(np.nanstd(values)), 1e-6)
            differences.append(float(np.nanmax(np.abs(values - others))) / spread)
    return max(differences)


def agree(name: str, there: Scanned, here: Scanned) -> bool:
    """Prints what the device and the processor say of a model, and whether it is the same."""
    same = there.told == here.told
    click.echo(
        f"{name:24} device: {there.told:22} {there.seconds:6.1f} s"
        f"   cpu: {here.told:22} {here.seconds:6.1f} s"
        f"   farthest statistic {farthest(here.result, there.result):.3f} of its spread"
        f"   {'same' if same else 'DIFFERENT'}"
    )
    return same


def passes(twin: TorchTwin, images: torch.Tensor) -> None:
    """Prints what a pass forward and backward takes in each way to compute, and compiled."""
    click.echo(f"a pass of {len(images)} images, forward and backward:")
    fused = replace(twin, module=torch.compile(twin.module))
    ways = [("", twin, way) for way in (Arithmetic(), *OTHERS)]
    for name, net, way in (*ways, ("compiled", fused, OTHERS[0])):
        taken = 1e3 * pass_seconds(net, way, images)
        click.echo(f"  {way.precision:9} {way.layout:14} {taken:8.2f} ms {name}")


def times(side: int, device: torch.device, folder: Path, steps: int) -> None:
    """Prints what a scan and the published methods take on a trained ResNet-18."""
    model, samples = resnets.written(side, backdoored=True, device=device, folder=folder)
    with TemporaryDirectory() as work:
        subject = speed.timed(model, samples, Path(work), device)
    click.echo(f"ResNet-18, {side} pixels, {resnets.CLASSES} classes, {device}")
    click.echo(f"computed in {subject.prepared.twin.arithmetic}")
    costs = {"a scan": subject.seconds + speed.searches(subject, ScanConfig())}
    speed.compare(subject, costs, steps)
    if device.type == "cuda":
        click.echo(f"{'peak memory of the GPU':34} {torch.cuda.max_memory_allocated() >> 20:9} MiB")
    images = torch.tensor(subject.prepared.samples.images[:160], device=device)
    try:
        passes(subject.prepared.twin, images)
    except RuntimeError as error:  # no compiler, say
        click.echo(f"  not compiled: {str(error).splitlines()[0]}")


@click.command()
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--side", "sides", type=int, multiple=True, default=SIDES, show_default=True)
@click.option("--steps", type=int, default=20, show_default=True, help="Timed steps of a method.")
def main(device: str, sides: tuple[int, ...], steps: int) -> None:
    """Print the comparison and the times; fails where the devices disagree."""
    where = torch.device(device)
    card = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
    click.echo(f"{card}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        for side in sides:
            times(side, where, folder, steps)
        demo = sorted(DEMO.glob("*.onnx"))
        digits = DEMO / "samples.npz"
        same = [
            agree(each.stem, *(scanned(each, digits, where) for where in (device, "cpu")))
            for each in demo
        ]
        for backdoored in (True, False):
            model, samples = resnets.written(32, backdoored=backdoored, device=where, folder=folder)
            first, second = (scanned(model, samples, device) for _ in range(2))
            apart = farthest(first.result, second.result)
            click.echo(f"twice on {device}: {apart:.4f} of the spread apart")
            same.append(agree(model.stem, first, scanned(model, samples, "cpu")))
    if not all(same):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
