"""The class profiles of a zoo: what the searches say of every class of every model, kept as files.

`python -m benchmarks.profiles --zoo FOLDER` measures what is missing; calibration and detection
read what is there. What was measured by other settings, or lacks the statistic of a new search,
is measured anew. `--seed` and `--samples` make profiles of their own beside the default ones.
`--near` measures the further seeds of models whose verdict is near the limit, as a scan does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import torch

from benchmarks import first_steps
from benchmarks.first_steps import Reached, as_scanned
from benchmarks.zoo.recipe import CLEAN
from pipeline.atomic_files import write_text
from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.judging import further_seeds, is_near
from pipeline.references.measure import profile
from pipeline.references.profile_file import profile_text, read_profiles, settings_of
from pipeline.request import ScanRequest
from stages.errors import ConfigError
from stages.verdict.decide import judge
from stages.verdict.profile import ClassProfile
from stages.verdict.vetting import Vetted

LOWEST_SUCCESS = 0.8
"""An attack counts only where it succeeds on this share of held-out images."""
LOWEST_ACCURACY = 0.6
"""A model counts only where it does its task."""
SAMPLES = 500
FOR_MANY = "most_samples"
"""A setting that bounds what a search takes of more classes than any measured model has."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A model's class profile beside the truth; `target` is None where there is no single one."""

    name: str
    task: str
    architecture: str
    attack: str
    target: int | None
    profile: ClassProfile
    targets: tuple[int, ...] = ()
    """All classes that a right accusation may name."""
    further: tuple[ClassProfile, ...] = ()
    """The profiles by the further seeds that count near the limit, where they were measured."""
    former: bool = False
    """Whether searches of before measured it, for patches or permutations, which miss more."""
    early: Reached | None = None
    """What the first steps reached of searches that may end early; None if it was not measured."""

    @property
    def scanned(self) -> ClassProfile:
        """The profile as a scan of the model sees it, in which searches end early."""
        few = ScanConfig().calibration.is_few(self.profile.classes)
        return self.profile if few or not self.early else as_scanned(self.profile, self.early)

    @property
    def clean(self) -> bool:
        return self.attack == CLEAN


def counted(zoo: Path) -> Iterator[dict[str, object]]:
    """The records of the models that count, in order of name."""
    for record in sorted(zoo.glob("*.json")):
        truth = json.loads(record.read_text())
        works = float(truth.get("attack_success_rate", 1.0)) >= LOWEST_SUCCESS
        if works and float(truth.get("clean_accuracy", 1.0)) >= LOWEST_ACCURACY:
            yield truth


def known(zoo: Path, seed: int = 0, samples: int = SAMPLES) -> list[Known]:
    """The models of a zoo whose profiles are there, in order of name; or those of a file of
    `benchmarks.measured`.
    """
    if zoo.is_file():
        return [read_line(each) for each in zoo.read_text(encoding="utf-8").splitlines()]
    found, config = [], ScanConfig(seed=seed)
    for truth in counted(zoo):
        place = place_of(zoo, str(truth["name"]), seed, samples)
        if place.exists():
            (measured,) = read_profiles(place, config)
            found.append(_known(truth, measured, further(place, seed)))
    return found


def further(place: Path, seed: int) -> tuple[ClassProfile, ...]:
    """The profiles by the further seeds beside one by the first, of those that were measured."""
    return tuple(read_profiles(each, ScanConfig())[0] for each in further_places(place, seed))


def further_places(place: Path, seed: int) -> list[Path]:
    """Where the profiles by the further seeds lie, of those that were measured."""
    names = (place.name.replace(f"-seed{seed}-", f"-seed{each}-") for each in further_seeds(seed))
    return [place.with_name(each) for each in names if place.with_name(each).exists()]


def read_line(text: str) -> Known:
    """A model of a file of `benchmarks.measured`, by whatever looks its classes were chosen, and
    whichever searches of patches and permutations it was measured by.

    Raises:
        ConfigError: it was measured by other settings.
    """
    both = json.loads(text)
    sections = [part for each in both["profiles"] for part in each["settings"].values()]
    former = any(_is_former(each) for each in sections)
    with TemporaryDirectory() as folder:
        place, found = Path(folder) / "profile.json", []
        for document in both["profiles"]:
            document["settings"] = _with_todays_searches(document["settings"])
            place.write_text(json.dumps(document))
            found += read_profiles(place, ScanConfig())
    return replace(_known(both["truth"], found[0], tuple(found[1:])), former=former)


def _with_todays_searches(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a profile, with those of brief looks and of former searches as they are now.

    Where all classes are searched there is no look. Of more classes, looks only choose which are
    searched, and change nothing of what is found for those.
    """
    return {
        section: now
        if section == "screen" or _is_former(settings[section])
        else {
            **{name: value for name, value in settings[section].items() if not _is_of_looks(name)},
            **{name: value for name, value in now.items() if _is_of_looks(name)},
        }
        for section, now in settings_of(ScanConfig()).items()
    }


def _is_former(section: dict[str, Any]) -> bool:
    """Whether these are settings of a patch search of before, whose attention was sharpened, or of
    a permutation search of before, which looked at a few places.
    """
    return "sharpest" in section or "places" in section


def _is_of_looks(name: str) -> bool:
    return name.startswith("brief_") or name == FOR_MANY


def _known(
    truth: dict[str, object], measured: ClassProfile, further: tuple[ClassProfile, ...]
) -> Known:
    attack = str(truth["attack"])
    single = attack not in (CLEAN, "all-to-all", "two-targets")
    return Known(
        name=str(truth["name"]),
        task=str(truth["task"]),
        architecture=str(truth["architecture"]),
        attack=attack,
        target=int(str(truth["target"])) if single else None,
        targets=_targets(truth, measured.classes),
        profile=measured,
        further=further,
        early=first_steps.measured().get(str(truth["name"])),
    )


def _targets(truth: dict[str, object], classes: int) -> tuple[int, ...]:
    """The classes that a trigger leads to: all of them where each leads to another."""
    target = int(str(truth["target"]))
    match truth["attack"]:
        case "clean":
            return ()
        case "all-to-all":
            return tuple(range(classes))
        case "two-targets":
            return target, (target + classes // 2) % classes
        case _:
            return (target,)


def place_of(zoo: Path, name: str, seed: int, samples: int) -> Path:
    """Where a model's profile lies."""
    return zoo / "profiles" / f"{name}-seed{seed}-n{samples}.json"


def measure(zoo: Path, name: str, task: str, seed: int, samples: int) -> None:
    """Measures one profile as a scan does, and keeps it."""
    place, config = place_of(zoo, name, seed, samples), ScanConfig(seed=seed)
    if _is_measured(place, config):
        return
    place.parent.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        request = ScanRequest(
            model=str(zoo / f"{name}.onnx"),
            samples=some_samples(zoo / f"{task}.npz", samples, Path(folder)),
            uri=name,
            config=config,
        )
        measured = profile(request, Store(None), torch.device("cpu"), Path(folder))
    write_text(place, profile_text((replace(measured, name=name),), config))


def _is_measured(place: Path, config: ScanConfig) -> bool:
    """Whether a profile is there, with every statistic, by the present settings."""
    try:
        return bool(read_profiles(place, config))
    except ConfigError:
        return False


def _measure_near(zoo: Path, seed: int, samples: int) -> None:
    """Measures the further seeds of the models whose verdict by themselves is near the limit."""
    config = ScanConfig(seed=seed)
    for each in known(zoo, seed, samples):
        alone = Vetted(kept=(), remarks=())
        if is_near(judge(each.profile, alone, config.calibration, config.judge), config):
            for further in further_seeds(seed):
                measure(zoo, each.name, each.task, further, samples)
            click.echo(each.name)


def some_samples(path: Path, count: int, folder: Path) -> Path:
    """The first samples of a file, as a file."""
    with np.load(path) as stored:
        images, labels = stored["images"][:count], stored["labels"][:count]
    np.savez(folder / "samples.npz", images=images, labels=labels)
    return folder / "samples.npz"


@click.command()
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--samples", type=int, default=SAMPLES, show_default=True)
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--every", type=int, default=1, show_default=True, help="Only every Nth model.")
@click.option("--attack", "attacks", multiple=True, help="Only models of these attacks, or clean.")
@click.option("--near", is_flag=True, help="The further seeds of models near the limit.")
def main(
    *,
    zoo: Path,
    seed: int,
    samples: int,
    threads: int,
    every: int,
    attacks: tuple[str, ...],
    near: bool,
) -> None:
    """Measure the class profiles of ZOO that are missing."""
    torch.set_num_threads(threads)
    if near:
        _measure_near(zoo, seed, samples)
        return
    chosen = [each for each in counted(zoo) if not attacks or each["attack"] in attacks]
    for truth in chosen[::every]:
        measure(zoo, str(truth["name"]), str(truth["task"]), seed, samples)
        click.echo(truth["name"])


if __name__ == "__main__":
    main()
