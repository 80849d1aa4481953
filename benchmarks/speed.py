"""What a scan costs beside BAN and BTI-DBF as published, on the same model in one run.

`python -m benchmarks.speed` times whole runs on the demo's clean model. `--case small` takes a
ResNet-18 for 32×32 images of 10 classes, trained on digits (`--backdoored` takes one with a patch);
BatchNorm is kept in the file, which is the published methods' best case. Of those some steps of
each kind are timed and multiplied. Seconds are the processor's, of this process; only their ratios
are worth quoting. `benchmarks.growth` compares nets of other sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from torch.nn import functional

from benchmarks import resnets
from benchmarks.clock import seconds as clock
from benchmarks.data import DEMO
from benchmarks.peers import bti_dbf
from benchmarks.zoo import exporters
from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.intake import sandbox
from pipeline.pace.estimate import works_of
from pipeline.pace.searching import search_all
from pipeline.peak import peak_rss_mb
from pipeline.prepare import Prepared, prepare, subject_of
from pipeline.request import ScanRequest
from stages.published.ban import Ban
from stages.published.settings import BanConfig
from stages.searches.search import Subject
from stages.twin.precondition import check_preconditions
from stages.twin.sites import measure_sites
from stages.types import PreconditionResult

CPU = torch.device("cpu")
PUBLISHED_GENERATOR = {"width": 32, "levels": 4}


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A proven twin with its samples, what it does on them, and the seconds from the file to it."""

    prepared: Prepared
    clean: PreconditionResult
    seconds: float

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.prepared.twin.device

    @property
    def searched(self) -> Subject:
        """What the searches look at."""
        return subject_of(self.prepared, self.clean, Store(None))


def random_resnet(
    side: int, classes: int, folder: Path, count: int | None = None, depth: int = 18
) -> tuple[Path, Path]:
    """A ResNet with random weights and `count` samples that it tells apart, as files.

    Each logit is scaled to the same spread over the samples, so that all classes occur; the labels
    are what the net says.
    """
    torch.manual_seed(0)
    net = resnets.resnet(side, classes, depth)
    coarse = torch.rand(count or max(200, 3 * classes), 3, 8, 8)
    images = functional.interpolate(coarse, size=side, mode="bilinear")
    net.eval().requires_grad_(requires_grad=False)
    logits = torch.cat([net(part) for part in torch.split(images, 50)])
    deviation, mean = torch.std_mean(logits, dim=0)
    net.fc.weight.div_(deviation[:, None])
    net.fc.bias.sub_(mean).div_(deviation)
    labels = ((logits - mean) / deviation).argmax(1)
    exporters.preserving(net, images[:2], folder / "resnet.onnx")
    np.savez(folder / "samples.npz", images=images.numpy(), labels=labels.numpy())
    return folder / "resnet.onnx", folder / "samples.npz"


def timed(
    model: Path,
    samples: Path,
    folder: Path,
    device: torch.device = CPU,
    config: ScanConfig | None = None,
) -> Timed:
    """The twin of a file, as a scan makes it in an empty folder, by default as shipped."""
    sandbox.warm_up()
    started = clock(device)
    request = ScanRequest(
        model=str(model), samples=samples, uri=model.name, config=config or ScanConfig()
    )
    cage = sandbox.Sandbox(limits=request.config.isolation)
    made = prepare(request, Store(None), device, folder, cage)
    clean = check_preconditions(made.twin, made.samples, request.config.precondition)
    return Timed(prepared=made, clean=clean, seconds=clock(device) - started)


def searches(subject: Timed, config: ScanConfig) -> float:
    """Seconds of all searches of a scan."""
    device, store = subject.device, Store(None)
    started = clock(device)
    search_all(subject_of(subject.prepared, subject.clean, store), config, store)
    return clock(device) - started


def images_shown(subject: Subject, classes: int) -> int:
    """How many images a scan shows a net like this one of so many classes, at most."""
    twin = replace(subject.twin, classes=classes)
    works = works_of(replace(subject, twin=twin), ScanConfig(), Store(None))
    return sum(each.images for each in works)


def published_ban(subject: Timed, steps: int, part: int) -> float:
    """Seconds of BAN as published: every mask step costs the same, and so does every noise step."""
    config = replace(BanConfig(), batch=BanConfig().batch // part)
    twin, samples = subject.prepared.twin, subject.prepared.samples
    run = Ban(twin, samples, measure_sites(twin, samples), config, 0)
    mask = _per_step(run.mask_step, steps, subject.device)
    run.restart_noise()
    noise = _per_step(run.noise_step, steps, subject.device)
    masks, noises = config.epochs * config.batches, config.noise_batches * config.steps
    return part * (masks * mask + noises * noise)


def published_bti_dbf(subject: Timed, steps: int, part: int) -> float:
    """Seconds of BTI-DBF: its autoencoder's, mask's and generator's steps, with all their terms."""
    twin, samples = subject.prepared.twin, subject.prepared.samples
    published = bti_dbf.Config(**PUBLISHED_GENERATOR)
    config = replace(published, batch=published.batch // part)
    open_config = replace(config, image_bound=np.inf, feature_bound=np.inf)
    few = replace(open_config, pretraining_rounds=1, batches=steps)
    started = clock(subject.device)
    net = bti_dbf.pretrained(bti_dbf.Pretraining.of(twin, samples, few, 0))
    pretraining = (clock(subject.device) - started) / steps
    run = bti_dbf.Inversion(twin, samples, open_config, 0, net)
    mask = _per_step(run.mask_step, steps, subject.device)
    run.fix_features()
    generator = _per_step(run.generator_step, steps, subject.device)
    rounds = (config.pretraining_rounds, config.mask_rounds, config.rounds)
    costs = zip(rounds, (pretraining, mask, generator), strict=True)
    return part * config.batches * sum(count * cost for count, cost in costs)


def _per_step(step: Callable[[], None], steps: int, device: torch.device) -> float:
    step()  # the first one also allocates
    started = clock(device)
    for _ in range(steps):
        step()
    return (clock(device) - started) / steps


def compare(subject: Timed, scan_seconds: dict[str, float], steps: int) -> None:
    """Prints the scan's seconds and how many times more each published method takes."""
    for name, seconds in scan_seconds.items():
        click.echo(f"{name:34} {seconds:9.1f} s")
    click.echo(f"{'peak memory of the scan':34} {peak_rss_mb():9.0f} MiB")
    peers = {
        "BAN as published": published_ban(subject, steps, part=1),
        "BTI-DBF as published": published_bti_dbf(subject, steps, part=1),
    }
    for name, seconds in peers.items():
        ratios = " ".join(f"{seconds / each:6.1f}×" for each in scan_seconds.values())
        click.echo(f"{name:34} {seconds:9.1f} s  {ratios}")


@click.command()
@click.option("--case", type=click.Choice(["demo", "small"]), default="demo")
@click.option("--threads", type=int, default=torch.get_num_threads(), show_default=True)
@click.option("--steps", type=int, default=5, show_default=True, help="Steps that are timed.")
@click.option("--backdoored", is_flag=True, help="The small net with a patch for a class.")
def main(case: str, threads: int, steps: int, *, backdoored: bool) -> None:
    """Print what the scan, BAN and BTI-DBF cost in CASE."""
    torch.set_num_threads(threads)
    click.echo(f"{case}, cpu, {threads} threads")
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scan").mkdir()
        if case == "demo":
            model, samples = DEMO / "clean.onnx", DEMO / "samples.npz"
        else:
            model, samples = resnets.written(32, backdoored=backdoored, device=CPU, folder=folder)
        subject = timed(model, samples, folder / "scan")
        costs = {"a scan": subject.seconds + searches(subject, ScanConfig())}
        compare(subject, costs, steps)


if __name__ == "__main__":
    main()
