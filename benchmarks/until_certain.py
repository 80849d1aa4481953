"""What a scan spares, and what it says otherwise, that ends once a block is certain, and whose
searches end in which no class stands out.

    python -m benchmarks.until_certain --zoo benchmarks/measured/report.jsonl

Read off what whole scans have measured, by one seed, and what first steps reached where that was
measured; nothing is searched. Images are those that the searches show forward and backward for ten
classes, beside those of all searches to their ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

import click

from benchmarks.data import DEMO
from benchmarks.first_steps import ends
from benchmarks.profiles import Known, known
from benchmarks.speed import timed
from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.pace.estimate import works_of
from pipeline.pace.searching import cheapest_first
from pipeline.pace.task import Scope
from stages.searches.screen import effort_of_first_steps
from stages.searches.search import Search, Subject
from stages.types import Verdict
from stages.verdict.decide import judge
from stages.verdict.early import certain_verdict
from stages.verdict.profile import ClassProfile
from stages.verdict.vetting import Vetted

ALONE = Vetted(kept=(), remarks=())


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The whole scan's verdict on a model, that of the scan which ends once it is certain, and the
    share in [0, 1] of the images that it shows.
    """

    model: Known
    whole: Verdict
    early: Verdict
    share: float


@dataclass(frozen=True, kw_only=True)
class Images:
    """How many images each search shows for ten classes, by its name, in the order of a scan: in
    `first` steps after which it may end, and to its end; and how many all show together that do
    not end.
    """

    first: Mapping[str, int]
    whole: Mapping[str, int]
    every: int


def ended(model: Known, images: Images, config: ScanConfig) -> Ended:
    """Both verdicts on a model."""
    rules = (ALONE, config.calibration, config.judge)
    whole, shown = judge(model.scanned, *rules), 0
    silent = ends(model.profile, model.early or {})
    for count, name in enumerate(images.whole, start=1):
        shown += (images.first if name in silent else images.whole)[name]
        early = certain_verdict(_of_searches(model, list(images.whole)[:count]), *rules)
        if early is not None:
            break
    return Ended(model=model, whole=whole, early=early or whole, share=shown / images.every)


def _of_searches(model: Known, searches: list[str]) -> ClassProfile:
    """A model's profile by some searches alone."""
    every = model.scanned.statistics
    some = {name: values for name, values in every.items() if name.partition(".")[0] in searches}
    return replace(model.scanned, statistics=some)


def images_shown(config: ScanConfig) -> Images:
    """What the searches of a scan without references show for the demo's ten classes."""
    with TemporaryDirectory() as folder:
        subject = timed(DEMO / "clean.onnx", DEMO / "samples.npz", Path(folder)).searched
    works = works_of(subject, config, Store(None), scope=Scope(alone=True))
    shows = {each.step: each.images for each in works}
    order = cheapest_first(works)
    return Images(
        first={each.name: _first_steps(each, subject, config) for each in order},
        whole={each.name: shows[f"find_{each.name}"] for each in order},
        every=sum(each.images for each in works_of(subject, config, Store(None))),
    )


def _first_steps(search: Search, subject: Subject, config: ScanConfig) -> int:
    state = search.start(subject, config.searches[search.name], config.seed)
    return effort_of_first_steps(search, state, subject.twin.classes).images


def row(name: str, group: list[Ended]) -> str:
    """Markdown: what became of a group of models."""
    blocked = [each for each in group if each.whole.label == "backdoored"]
    early = sum(each.early is not each.whole for each in group)
    other = sum(each.early.label != each.whole.label for each in group)
    right = sum(each.whole.suspected_class in each.model.targets for each in blocked)
    sooner = sum(each.early.suspected_class in each.model.targets for each in blocked)
    shares = [each.share for each in group]
    return (
        f"| {name} | {len(group)} | {other} | {len(blocked)} | {right} | {sooner} | {early}"
        f" | {mean(shares):.2f} | {median(shares):.2f} |"
    )


@click.command()
@click.option(
    "--zoo", "zoos", type=click.Path(exists=True, path_type=Path), multiple=True, required=True
)
def main(zoos: tuple[Path, ...]) -> None:
    """Print what changes among the models of every ZOO."""
    config = ScanConfig()
    images = images_shown(config)
    found = [ended(model, images, config) for zoo in zoos for model in known(zoo)]
    click.echo(
        "| models | | other verdict | blocked | right class | right class, early | ended early"
        " | images, mean share | median |"
    )
    click.echo("|---" * 9 + "|")
    click.echo(row("clean", [each for each in found if each.model.clean]))
    click.echo(row("backdoored", [each for each in found if not each.model.clean]))


if __name__ == "__main__":
    main()
